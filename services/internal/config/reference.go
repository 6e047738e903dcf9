package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Reference is a Markdown table of all settings in the flag set, sorted by name. Hidden flags and
// --help are left out.
func Reference(flags *pflag.FlagSet) string {
	var out strings.Builder
	out.WriteString("| flag and file key | environment | type | default | meaning |\n|---|---|---|---|---|\n")
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		value := "-"
		if flag.DefValue != "" && flag.DefValue != "[]" {
			value = "`" + flag.DefValue + "`"
		}
		fmt.Fprintf(&out, "| `%s` | `%s` | %s | %s | %s |\n",
			flag.Name, EnvName(flag), flag.Value.Type(), value, strings.ReplaceAll(flag.Usage, "|", "\\|"))
	})
	return out.String()
}
