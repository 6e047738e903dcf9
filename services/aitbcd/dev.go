package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/aitbc/aitbc/services/aitbcd/dev"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/run"
	"github.com/aitbc/aitbc/services/miner"
)

// What the flags of a service are called when all services are in one program; the coordinator's
// have no prefix.
const (
	ledgerPrefix = "ledger-"
	minerPrefix  = "miner-"
)

func newDev() *cobra.Command {
	var (
		d         daemon
		readyFile string
	)
	c := dev.DefaultConfig()
	c.Ledger.FlagPrefix, c.Miner.FlagPrefix = ledgerPrefix, minerPrefix
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole network in one process, for development",
		Long: fmt.Sprintf(`Runs a ledger of one validator, a coordinator and a miner in one process, on a state folder that survives restarts.
The API keys %s, %s and %s exist.`, dev.ClientKey, dev.MinerKey, dev.AdminKey),
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			c.StateDir = d.state
			c.Miner.Software = "aitbcd/" + version
			return runDev(cmd.Context(), d, c, readyFile)
		},
	}
	d.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&readyFile, "ready-file", "", "file that gets the addresses, as JSON, once all parts take calls")
	f.BoolVar(&c.WithMiner, "miner", c.WithMiner, "run a miner too")
	f.StringVar(&c.Miner.Listen, minerPrefix+miner.FlagListen, c.Miner.Listen, "the miner's own port")
	coordinatorFlags(f, &c.Coordinator)
	ledgerFlags(f, &c.Ledger, ledgerPrefix)
	minerFlags(f, &c.Miner)
	return cmd
}

func runDev(ctx context.Context, d daemon, c dev.Config, readyFile string) (err error) {
	var logs [3]*obs.Log
	for i, name := range []string{"node", "coordinator", "miner"} {
		if logs[i], err = d.openLog(name); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, logs[i].Close()) }()
	}
	n, err := dev.New(c, dev.Logs{Ledger: logs[0].Logger, Coordinator: logs[1].Logger, Miner: logs[2].Logger})
	if err != nil {
		return err
	}
	return runUntilReady(ctx, n, n.Ready(), readyFile, func() any { return n.Addresses() })
}

// runUntilReady runs a service, and writes its addresses into the ready file, if there is one, once it
// takes calls.
func runUntilReady(ctx context.Context, s run.Part, ready <-chan struct{}, readyFile string, addresses func() any) error {
	group := run.Group{}
	group.Add("service", s)
	group.Add("ready file", run.Func(func(ctx context.Context) error {
		select {
		case <-ready:
			if readyFile != "" {
				if err := writeReady(readyFile, addresses()); err != nil {
					return err
				}
			}
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	}))
	return group.Run(ctx)
}

// writeReady writes the addresses in one step, so that a reader never sees half of them.
func writeReady(path string, addresses any) error {
	text, err := json.Marshal(addresses)
	if err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	half, err := os.CreateTemp(filepath.Dir(path), ".ready-")
	if err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	_, err = half.Write(append(text, '\n'))
	if err = errors.Join(err, half.Close()); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	if err := os.Rename(half.Name(), path); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	return nil
}
