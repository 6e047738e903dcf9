package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// FileFlag is the flag that names the config file.
const FileFlag = "config"

const envPrefix = "AITBC_"

// Source is where a setting's value came from.
type Source string

// The sources, strongest first.
const (
	FromFlag    Source = "flag"
	FromEnv     Source = "environment"
	FromFile    Source = "file"
	FromDefault Source = "default"
)

// AddFileFlag defines --config.
func AddFileFlag(flags *pflag.FlagSet) {
	flags.String(FileFlag, "", "YAML file of settings, each under its flag's name")
}

// EnvName is the environment variable of a flag: AITBC_LEDGER_URL of ledger-url, or what SetEnvName said.
func EnvName(flag *pflag.Flag) string {
	if names := flag.Annotations[envAnnotation]; len(names) > 0 {
		return names[0]
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
}

const envAnnotation = "environment variable"

// SetEnvName gives a flag that is defined another environment variable than its name's: where that one means
// something else to another program, both could not be used in one shell.
func SetEnvName(flags *pflag.FlagSet, flag, variable string) {
	if err := flags.SetAnnotation(flag, envAnnotation, []string{variable}); err != nil {
		panic(err) // it is not defined
	}
}

// Load fills every flag that the command line left unset from the environment, then from the file
// that --config or AITBC_CONFIG names. lookup is os.LookupEnv. It reports all faults at once and
// says where each value came from. Call it once, after the flags were parsed.
func Load(flags *pflag.FlagSet, lookup func(string) (string, bool)) (map[string]Source, error) {
	sources := make(map[string]Source)
	var errs []error
	flags.VisitAll(func(flag *pflag.Flag) {
		sources[flag.Name] = FromDefault
		if flag.Changed {
			sources[flag.Name] = FromFlag
			return
		}
		value, ok := lookup(EnvName(flag))
		if !ok || value == "" {
			return
		}
		sources[flag.Name] = FromEnv
		if err := flag.Value.Set(value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %q: %w", EnvName(flag), value, err))
		}
	})
	if file := flags.Lookup(FileFlag); file != nil && file.Value.String() != "" {
		errs = append(errs, loadFile(flags, file.Value.String(), sources))
	}
	return sources, errors.Join(errs...)
}

func loadFile(flags *pflag.FlagSet, path string, sources map[string]Source) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the config file: %w", err)
	}
	entries, err := parseFile(content)
	if err != nil {
		return fmt.Errorf("config file %s: %w", path, err)
	}
	var errs []error
	for _, entry := range entries {
		if err := applyEntry(flags, entry, sources); err != nil {
			errs = append(errs, fmt.Errorf("config file %s, line %d: %w", path, entry.line, err))
		}
	}
	return errors.Join(errs...)
}

func applyEntry(flags *pflag.FlagSet, e entry, sources map[string]Source) error {
	flag := flags.Lookup(e.key)
	if flag == nil || e.key == FileFlag || e.key == "help" {
		return fmt.Errorf("unknown setting %q", e.key)
	}
	if sources[e.key] != FromDefault {
		return nil
	}
	sources[e.key] = FromFile
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		if err := list.Replace(e.values); err != nil {
			return fmt.Errorf("setting %q: %w", e.key, err)
		}
		return nil
	}
	if len(e.values) != 1 {
		return fmt.Errorf("setting %q: takes one value, not a list", e.key)
	}
	if err := flag.Value.Set(e.values[0]); err != nil {
		return fmt.Errorf("setting %q: %q: %w", e.key, e.values[0], err)
	}
	return nil
}
