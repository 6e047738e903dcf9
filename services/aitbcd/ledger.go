package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aitbc/aitbc/services/aitbcd/dev"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/ledger"
)

func newLedger() *cobra.Command {
	var (
		d         daemon
		readyFile string
	)
	c := ledger.DefaultConfig()
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Run a ledger node",
		Long: `Runs a ledger node on the chain in the state folder, which aitbcd ledger init or aitbcd ledger testnet makes. A node that
joins a network needs the network's genesis.json in ledger/config of its state folder, and peers.`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			c.Home = filepath.Join(d.state, "ledger")
			return d.withLog("node", func(log *slog.Logger) error {
				s, err := ledger.New(c, ledger.Deps{Logger: log, Registry: obs.NewRegistry()})
				if err != nil {
					return err
				}
				return runUntilReady(cmd.Context(), s, s.Ready(), readyFile, func() any { return ledgerAddresses(s) })
			})
		},
	}
	d.flags(cmd.Flags())
	ledgerFlags(cmd.Flags(), &c, "")
	joinFlags(cmd.Flags(), &c)
	cmd.Flags().StringVar(&readyFile, "ready-file", "", "file that gets the addresses, as JSON, once the node takes calls")
	cmd.AddCommand(newLedgerInit(), newLedgerTestnet(), newLedgerValidator(), newLedgerParam())
	return cmd
}

// ledgerAddresses are where a node listens, under the names that a ready file has for them.
func ledgerAddresses(s *ledger.Service) map[string]string {
	addresses := map[string]string{"ledger_rpc": s.RPCAddr().String(), "ledger_grpc": s.GRPCAddr().String()}
	if metrics := s.MetricsAddr(); metrics != nil {
		addresses["ledger_metrics"] = metrics.String()
	}
	return addresses
}

// ledgerFlags defines the ledger's flags, each behind prefix.
func ledgerFlags(f *pflag.FlagSet, c *ledger.Config, prefix string) {
	f.StringVar(&c.RPCListen, prefix+ledger.FlagRPCListen, c.RPCListen, "CometBFT's JSON-RPC")
	f.StringVar(&c.P2PListen, prefix+ledger.FlagP2PListen, c.P2PListen, "where other validators connect")
	f.StringVar(&c.GRPCListen, prefix+ledger.FlagGRPCListen, c.GRPCListen, "LedgerService")
	f.StringVar(&c.MetricsListen, prefix+ledger.FlagMetricsListen, c.MetricsListen, "the ledger's /metrics; empty: none")
	f.DurationVar(&c.Heartbeat, prefix+"heartbeat", c.Heartbeat, "longest time between blocks")
	f.Int64Var(&c.SnapshotEvery, prefix+"snapshot-every", c.SnapshotEvery, "blocks between states on offer to nodes that join; 0: none")
	f.Int64Var(&c.RetainBlocks, prefix+"retain-blocks", c.RetainBlocks, "blocks that are kept; 0: all")
}

// joinFlags defines what only a node among others needs.
func joinFlags(f *pflag.FlagSet, c *ledger.Config) {
	f.StringSliceVar(&c.Peers, "peers", nil, "nodes to connect to, each as ID@HOST:PORT")
	f.StringSliceVar(&c.JoinRPC, "join-rpc", nil, "JSON-RPC addresses of two nodes or more, to join by a snapshot instead of all blocks")
	f.Int64Var(&c.JoinHeight, "join-height", 0, "height of a block that you trust, not older than a week")
	f.StringVar(&c.JoinHash, "join-hash", "", "hash of that block")
}

func newLedgerInit() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a new chain of one validator, with keys for its first accounts",
		Long: `Makes a new chain in the state folder: random keys (authority, operator, client, miner, faucet) in keys/, and a
genesis that gives them accounts. A chain that is there already is left as it is.`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			keys, err := dev.LoadKeys(filepath.Join(state, "keys"))
			if err != nil {
				return err
			}
			c := ledger.DefaultConfig()
			c.Home = filepath.Join(state, "ledger")
			if c.Genesis, err = keys.Genesis(time.Now()); err != nil {
				return err
			}
			// What New makes is what a chain needs; nothing is started.
			s, err := ledger.New(c, ledger.Deps{Logger: slog.New(slog.DiscardHandler), Registry: obs.NewRegistry()})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "chain %s in %s, keys in %s\n", s.Genesis().ChainID, c.Home, filepath.Join(state, "keys"))
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", defaultState(), "folder for keys and databases")
	return cmd
}
