package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aitbc/aitbc/services/coordinator"
	"github.com/aitbc/aitbc/services/internal/config"
	"github.com/aitbc/aitbc/services/internal/obs"
)

func newCoordinator() *cobra.Command {
	var d daemon
	c := coordinator.DefaultConfig()
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Run a coordinator",
		Long: `Runs a coordinator: REST and gRPC for clients, streams for miners, settlement with a ledger. Its operator's key must be
registered on the ledger (keys/operator.key in the state folder; ` + "`aitbcd ledger init`" + ` makes one with its chain).`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			c.StateDir = d.state
			return d.withLog("coordinator", func(log *slog.Logger) error {
				return runCoordinator(cmd.Context(), c, log)
			})
		},
	}
	d.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&c.OperatorKey, "operator-key", "", "the operator's ledger key (default: keys/operator.key in the state folder)")
	f.StringVar(&c.Advertise, "advertise", "", "where other replicas reach this one's gRPC, host:port (default: where it listens)")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM file with the certificate; off loopback required")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM file with its key")
	f.BoolVar(&c.Insecure, "insecure", false, "allow plaintext off loopback")
	f.StringSliceVar(&c.LedgerURLs, "ledger-url", c.LedgerURLs, "CometBFT JSON-RPC of ledger nodes; the next one is called when one fails or makes no blocks")
	f.StringVar(&c.ChainID, "chain-id", "", "the chain it must be (default: whichever is met)")
	coordinatorFlags(f, &c)
	cmd.AddCommand(newKeys(), newMigrate())
	return cmd
}

// runCoordinator runs a coordinator. When another replica has taken over from it, a new one begins:
// what it held is not its any more, so nothing of the old one is kept but its ports.
func runCoordinator(ctx context.Context, c coordinator.Config, log *slog.Logger) error {
	for {
		s, err := coordinator.New(c, coordinator.Deps{Logger: log, Registry: obs.NewRegistry()})
		if err != nil {
			return err
		}
		err = s.Run(ctx)
		if !errors.Is(err, coordinator.ErrFenced) || ctx.Err() != nil {
			return err
		}
		log.WarnContext(ctx, "beginning anew", obs.KeyError, err)
		c = s.Again()
	}
}

// ledgerFlag chooses where jobs are paid. AITBC_LEDGER is the address of a node, to the command line and to miners.
func ledgerFlag(f *pflag.FlagSet, c *coordinator.Config) {
	f.StringVar(&c.Ledger, "ledger", c.Ledger, "where jobs are paid: cometbft, or none for a private fleet")
	config.SetEnvName(f, "ledger", "AITBC_LEDGER_KIND")
}

// coordinatorFlags defines what the coordinator of `aitbcd dev` has too.
func coordinatorFlags(f *pflag.FlagSet, c *coordinator.Config) {
	storeFlag(f, c)
	ledgerFlag(f, c)
	f.StringVar(&c.RESTListen, coordinator.FlagRESTListen, c.RESTListen, "REST gateway")
	f.StringVar(&c.GRPCListen, coordinator.FlagGRPCListen, c.GRPCListen, "gRPC, for clients and miners")
	f.StringVar(&c.MetricsListen, coordinator.FlagMetricsListen, c.MetricsListen, "the coordinator's /metrics; empty: none")
	f.DurationVar(&c.QueueTimeout, "queue-timeout", c.QueueTimeout, "how long a job may wait for a miner, unless its client says")
	f.DurationVar(&c.ExecutionLimit, "execution-limit", c.ExecutionLimit, "how long an attempt may run, unless its client says")
	f.DurationVar(&c.TotalTimeout, "total-timeout", c.TotalTimeout, "how long a job may take in all, unless its client says")
	f.Uint32Var(&c.MaxAttempts, "max-attempts", c.MaxAttempts, "how often a job is handed to a miner at most")
	f.IntVar(&c.MaxJobs, "max-jobs", c.MaxJobs, "live jobs of a client; 0: no limit")
	f.Int64Var(&c.MaxTokens, "max-tokens", c.MaxTokens, "tokens that a client's live jobs may come to, prompts and longest answers; 0: no limit")
	f.Int64Var(&c.MaxSpend, "max-spend", c.MaxSpend, "uaitbc that may go into a client's jobs in a day (UTC), at all replicas together; 0: no limit")
	f.IntVar(&c.MaxQueue, "max-queue", c.MaxQueue, "jobs that wait or are under way, of all clients; more are refused with 503 (0: no bound)")
	f.IntVar(&c.MaxSubmitting, "max-submitting", c.MaxSubmitting, "submissions worked on at once; more are refused with 503")
	f.DurationVar(&c.Retention, "retention", c.Retention, "how long prompts and results are kept after a job's end; 0: for good")
	f.Float64Var(&c.RateLimit, "rate-limit", c.RateLimit, "calls per second and key; 0: no limit")
	f.IntVar(&c.RateBurst, "rate-burst", c.RateBurst, "calls of a key at once")
}
