package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/cli.md's reference anew")

// The part of docs/cli.md below the mark follows from the commands. After a wanted change:
//
//	go test ./clients/aitbc -run TestReference -update
func TestReference(t *testing.T) {
	t.Parallel()
	const file = "../../docs/cli.md"
	const mark = "<!-- Below this line: made by go test ./clients/aitbc -run TestReference -update -->\n"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, _, found := strings.Cut(string(text), mark)
	require.True(t, found)

	var b strings.Builder
	reference(&b, newRoot(newApp(streams{getenv: func(string) string { return "" }})))
	want := head + mark + b.String()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text))
}

func reference(b *strings.Builder, cmd *cobra.Command) {
	// A group refuses to be run by itself; a command that has others below it does not.
	if cmd.HasParent() && (!cmd.HasSubCommands() || cmd.ValidateArgs(nil) == nil) {
		fmt.Fprintf(b, "\n## %s\n\n%s.\n", cmd.CommandPath(), cmd.Short)
		if cmd.Long != "" {
			fmt.Fprintf(b, "\n%s\n", cmd.Long)
		}
		fmt.Fprintf(b, "\n```\n%s\n", cmd.UseLine())
		if cmd.Example != "" {
			fmt.Fprintf(b, "\n%s\n", cmd.Example)
		}
		b.WriteString("```\n")
		flags(b, cmd.NonInheritedFlags().FlagUsages())
	}
	if !cmd.HasParent() {
		b.WriteString("\n## Flags of every command\n")
		flags(b, cmd.PersistentFlags().FlagUsages())
	}
	for _, child := range cmd.Commands() {
		reference(b, child)
	}
}

func flags(b *strings.Builder, usages string) {
	if usages != "" {
		fmt.Fprintf(b, "\n```\n%s```\n", usages)
	}
}
