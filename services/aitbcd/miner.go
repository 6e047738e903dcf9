package main

import (
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner"
)

func newMiner() *cobra.Command {
	var d daemon
	c := miner.DefaultConfig()
	cmd := &cobra.Command{
		Use:   "miner",
		Short: "Run a miner",
		Long: `Runs a miner: it dials out to a coordinator, proves its ledger key, and runs the jobs that it is given on the Ollama
beside it. The key must be registered and staked on the ledger.`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			c.StateDir = filepath.Join(d.state, "miner")
			if c.KeyFile == "" {
				c.KeyFile = keyFile(d.state, "miner")
			}
			c.Software = "aitbcd/" + version
			return d.withLog("miner", func(log *slog.Logger) error {
				s, err := miner.New(c, miner.Deps{Logger: log, Registry: obs.NewRegistry()})
				if err != nil {
					return err
				}
				return s.Run(cmd.Context())
			})
		},
	}
	d.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&c.Listen, miner.FlagListen, c.Listen, "the owner's port: gRPC, REST, /healthz, /metrics")
	f.StringSliceVar(&c.Coordinators, "coordinators", c.Coordinators, "coordinators' gRPC addresses, tried in turn")
	f.StringVar(&c.ChainID, "chain-id", "", "the one ledger to work for (default: whichever the coordinator names)")
	f.StringSliceVar(&c.Operators, "operators", nil, "the operators' accounts to work for (default: any)")
	f.StringVar(&c.KeyFile, "key-file", "", "the miner's ledger key (default: keys/miner.key in the state folder)")
	f.BoolVar(&c.TLS, "tls", false, "use TLS on loopback too")
	f.StringVar(&c.TLSCA, "tls-ca", "", "PEM file with the authorities to trust instead of the system's")
	f.BoolVar(&c.Insecure, "insecure", false, "allow plaintext off loopback")
	f.StringSliceVar(&c.OwnerKeyHashes, "owner-key-hashes", nil, "SHA-256, in hex, of the keys that may assign jobs")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", c.DrainTimeout, "how long running jobs may take when the miner leaves")
	minerFlags(f, &c)
	return cmd
}

// minerFlags defines what the miner of `aitbcd dev` has too.
func minerFlags(f *pflag.FlagSet, c *miner.Config) {
	f.StringVar(&c.EngineURL, "ollama-url", c.EngineURL, "the Ollama server")
	f.IntVar(&c.Slots, "slots", c.Slots, "how many jobs run at once")
	f.StringSliceVar(&c.Models, "models", nil, "the models to offer (default: all that the engine has)")
	f.Int64Var(&c.PriceFloorUaitbc, "price-floor", 0, "the least price of a compute second, in uaitbc")
}
