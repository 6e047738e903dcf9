package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner"
)

// minerCommand is the settings of a miner.
type minerCommand struct {
	daemon
	config miner.Config
	stake  string
}

func newMinerCommand() *minerCommand { return &minerCommand{config: miner.DefaultConfig()} }

// load reads the settings.
func (m *minerCommand) load(cmd *cobra.Command) (miner.Config, error) {
	if err := load(cmd); err != nil {
		return miner.Config{}, err
	}
	c := m.config
	c.StateDir = minerState(m.state)
	if c.KeyFile == "" {
		c.KeyFile = keyFile(m.state, "miner")
	}
	if m.stake != "" {
		var err error
		if c.Stake, err = aitbc.ParseAmount(m.stake); err != nil {
			return c, fmt.Errorf("--stake: %w", err)
		}
	}
	c.Software = "aitbcd/" + version
	return c, nil
}

func newMiner() *cobra.Command {
	m := newMinerCommand()
	cmd := &cobra.Command{
		Use:   "miner",
		Short: "Run a miner",
		Long: `Runs a miner: it dials out to a coordinator, proves its ledger key, and runs the jobs that it is given on the Ollama
beside it. The key must be registered and staked on the ledger: with --ledger the miner does it itself, once its account has the tokens.`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := m.load(cmd)
			if err != nil {
				return err
			}
			if err := m.chooseStake(cmd.Context(), &c); err != nil {
				return fmt.Errorf("ask for the stake: %w", err)
			}
			return m.withLog("miner", func(log *slog.Logger) error {
				deps := miner.Deps{Logger: log, Registry: obs.NewRegistry()}
				if term.IsTerminal(int(os.Stderr.Fd())) {
					deps.Screen = os.Stderr
				}
				s, err := miner.New(c, deps)
				if err != nil {
					return err
				}
				return s.Run(cmd.Context())
			})
		},
	}
	m.flags(cmd.Flags())
	cmd.AddCommand(newMinerDoctor(), newMinerBenchmark(), newMinerStatus(), newMinerTop(), newMinerDrain())
	return cmd
}

func (m *minerCommand) flags(f *pflag.FlagSet) {
	m.daemon.flags(f)
	c := &m.config
	f.StringVar(&c.Listen, miner.FlagListen, c.Listen, "the owner's port: gRPC, REST, /healthz, /metrics")
	f.StringSliceVar(&c.Coordinators, "coordinators", c.Coordinators, "coordinators' gRPC addresses, tried in turn")
	f.StringVar(&c.ChainID, "chain-id", "", "the one ledger to work for (default: whichever the coordinator names)")
	f.StringSliceVar(&c.Operators, "operators", nil, "the operators' accounts to work for (default: any)")
	f.StringVar(&c.KeyFile, "key-file", "", "the miner's ledger key (default: keys/miner.key in the state folder)")
	f.StringVar(&c.Ledger, "ledger", "", "gRPC address of a ledger node, to register and bond stake at the start, and to claim what an operator accepted and does not settle")
	f.StringVar(&m.stake, "stake", "", "what the stake shall be at least, such as 150aitbc, bonded from the miner's account (default: the least that gets work)")
	f.StringVar(&c.Name, "name", "", "what the miner calls itself on the ledger, at most 64 bytes")
	f.BoolVar(&c.TLS, "tls", false, "use TLS on loopback too")
	f.StringVar(&c.TLSCA, "tls-ca", "", "PEM file with the authorities to trust instead of the system's")
	f.BoolVar(&c.Insecure, "insecure", false, "allow plaintext off loopback")
	f.StringSliceVar(&c.OwnerKeyHashes, "owner-key-hashes", nil, "SHA-256, in hex, of keys that may assign jobs and drain, beside the one in the state folder")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", c.DrainTimeout, "how long running jobs may take when the miner leaves")
	minerFlags(f, c)
}

// minerFlags defines what the miner of `aitbcd dev` has too.
func minerFlags(f *pflag.FlagSet, c *miner.Config) {
	f.StringVar(&c.EngineURL, "ollama-url", c.EngineURL, "the Ollama server")
	f.IntVar(&c.Slots, "slots", c.Slots, "how many jobs run at once (default: of each model what `aitbcd miner benchmark` found, else 1)")
	f.StringSliceVar(&c.Models, "models", nil, "the models to offer (default: all that the engine has)")
	f.StringSliceVar(&c.Pull, "pull", nil, "models, among --models if that is given, that Ollama is to pull when it lacks them")
	f.StringSliceVar(&c.Pullable, "pullable", nil, "models, among --models if that is given, that Ollama may pull when a job needs one that no miner has (default: none)")
	f.Int64Var(&c.MemoryReserve, "memory-reserve", 0, "bytes of the GPUs' memory, without a GPU of the system's, that the owner keeps: a model that does not fit beside it is not offered")
	f.Int64Var(&c.PriceFloorUaitbc, "price-floor", 0, "the least price of a compute second, in uaitbc")
}
