package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aitbc/aitbc/services/internal/config"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// daemon holds the settings that all servers share.
type daemon struct {
	state                       string
	logDir, logFormat, logLevel string
}

func (d *daemon) flags(f *pflag.FlagSet) {
	config.AddFileFlag(f)
	f.StringVar(&d.state, "state", defaultState(), "folder for keys, databases and logs")
	f.StringVar(&d.logDir, "log-dir", "", "folder for the log file (default: "+obs.SystemLogDir+" where writable, else log in the state folder)")
	f.StringVar(&d.logFormat, "log-format", "text", "text or json")
	f.StringVar(&d.logLevel, "log-level", "info", "debug, info, warn or error")
}

// defaultState follows the XDG base directory specification.
func defaultState() string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "aitbc")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "aitbc-state"
	}
	return filepath.Join(home, ".local", "state", "aitbc")
}

// load reads environment and config file into the flags of a command.
func load(cmd *cobra.Command) error {
	_, err := config.Load(cmd.Flags(), os.LookupEnv)
	return err
}

// withLog runs work with the logger of a server.
func (d *daemon) withLog(name string, work func(log *slog.Logger) error) error {
	log, err := d.openLog(name)
	if err != nil {
		return err
	}
	return errors.Join(work(log.Logger), log.Close())
}

func (d *daemon) openLog(name string) (*obs.Log, error) {
	c := obs.DefaultLogConfig(name, d.state)
	c.Dir, c.Format, c.Level = d.logDir, d.logFormat, d.logLevel
	return obs.NewLogger(c, os.Stderr)
}

// keyFile is where a key of the state folder is.
func keyFile(state, name string) string { return filepath.Join(state, "keys", name+".key") }

func requireNoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, not %q", cmd.CommandPath(), args[0])
	}
	return nil
}
