// Package dev is a whole network in one process: a ledger of one validator, a coordinator and a
// miner, on embedded defaults. It is what `aitbcd dev` runs; production runs the same services as
// processes of their own.
//
// Invariants: the ledger's keys and chain id are random and made at the first start; only the API
// keys are the public ones (ClientKey, MinerKey, AdminKey), and they exist here only. Start with
// Network.Run.
package dev

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/run"
	"github.com/aitbc/aitbc/services/ledger"
	"github.com/aitbc/aitbc/services/miner"
)

// The API keys of every development network.
const (
	ClientKey = "client_dev_key_1"
	MinerKey  = "miner_dev_key_1"
	AdminKey  = "admin_dev_key_1"
)

// Config is a development network's configuration: its services' own, in one state folder.
type Config struct {
	// StateDir is the folder for everything. Required.
	StateDir string
	// Ledger, Coordinator and Miner are the services' configurations; their folders, keys and
	// connections to each other are set by New.
	Ledger      ledger.Config
	Coordinator coordinator.Config
	Miner       miner.Config
	// WithMiner runs a miner too.
	WithMiner bool
}

// DefaultConfig gives the default of every field but StateDir.
func DefaultConfig() Config {
	return Config{Ledger: ledger.DefaultConfig(), Coordinator: coordinator.DefaultConfig(), Miner: miner.DefaultConfig(), WithMiner: true}
}

// Logs are the loggers of the three services.
type Logs struct{ Ledger, Coordinator, Miner *slog.Logger }

// Network is a development network.
type Network struct {
	cfg    Config
	logs   Logs
	keys   Keys
	ledger *ledger.Service // nil: --ledger none
	ready  chan struct{}

	// Set before ready is closed; miner is nil without one.
	coordinator *coordinator.Service
	miner       *miner.Service
}

// New makes what the state folder lacks: keys, chain.
func New(cfg Config, logs Logs) (*Network, error) {
	keys, err := LoadKeys(filepath.Join(cfg.StateDir, "keys"))
	if err != nil {
		return nil, err
	}
	n := &Network{cfg: cfg, logs: logs, keys: keys, ready: make(chan struct{})}
	if cfg.Coordinator.Ledger == coordinator.LedgerNone {
		return n, nil
	}
	cfg.Ledger.Home = filepath.Join(cfg.StateDir, "ledger")
	if cfg.Ledger.Genesis, err = keys.Genesis(time.Now()); err != nil {
		return nil, err
	}
	// Each service has a registry of its own, as it would in a process of its own.
	if n.ledger, err = ledger.New(cfg.Ledger, ledger.Deps{Logger: logs.Ledger, Registry: obs.NewRegistry()}); err != nil {
		return nil, err
	}
	return n, nil
}

// Ready is closed when every part takes calls. The addresses may be asked only then.
func (n *Network) Ready() <-chan struct{} { return n.ready }

// Addresses are where a network listens.
type Addresses struct {
	CoordinatorREST    string `json:"coordinator_rest"`
	CoordinatorGRPC    string `json:"coordinator_grpc"`
	CoordinatorMetrics string `json:"coordinator_metrics"`
	Miner              string `json:"miner"`
	LedgerRPC          string `json:"ledger_rpc"`
	LedgerGRPC         string `json:"ledger_grpc"`
}

// Addresses gives them.
func (n *Network) Addresses() Addresses {
	a := Addresses{
		CoordinatorREST: text(n.coordinator.RESTAddr()), CoordinatorGRPC: text(n.coordinator.GRPCAddr()),
		CoordinatorMetrics: text(n.coordinator.MetricsAddr()),
	}
	if n.ledger != nil {
		a.LedgerRPC, a.LedgerGRPC = text(n.ledger.RPCAddr()), text(n.ledger.GRPCAddr())
	}
	if n.miner != nil {
		a.Miner = text(n.miner.Addr())
	}
	return a
}

func text(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}

// Run runs the network until ctx ends or a part fails. Parts start in order, each when the one
// before is ready, and stop in the reverse order. It may be called once.
func (n *Network) Run(ctx context.Context) error {
	if n.ledger == nil {
		return n.runCoordinator(ctx)
	}
	group := run.Group{Grace: time.Minute}
	group.Add("ledger", n.ledger)
	group.Add("coordinator", run.Func(func(ctx context.Context) error {
		if !await(ctx, n.ledger.Ready()) {
			return nil
		}
		return n.runCoordinator(ctx)
	}))
	return group.Run(ctx)
}

// runCoordinator runs the coordinator, and the miner beside it.
func (n *Network) runCoordinator(ctx context.Context) error {
	cfg := n.cfg.Coordinator
	cfg.StateDir = n.cfg.StateDir
	deps := coordinator.Deps{Logger: n.logs.Coordinator, Registry: obs.NewRegistry(), Keys: n.fixedKeys()}
	if n.ledger != nil {
		cfg.ChainID, deps.Ledger = n.ledger.Genesis().ChainID, n.ledger.Client()
		deps.Faucet = n.keys.Faucet
	}
	service, err := coordinator.New(cfg, deps)
	if err != nil {
		return err
	}
	n.coordinator = service
	group := run.Group{Grace: time.Minute}
	group.Add("coordinator", service)
	group.Add("miner", run.Func(func(ctx context.Context) error {
		if !await(ctx, service.Ready()) {
			return nil
		}
		return n.runMiner(ctx)
	}))
	return group.Run(ctx)
}

func (n *Network) fixedKeys() []coordinator.FixedKey {
	return []coordinator.FixedKey{
		{Key: ClientKey, Name: "client_dev", Scope: "client", Account: account(n.keys.Client), Priority: aitbc.PriorityHigh},
		{Key: MinerKey, Name: "miner_dev", Scope: "miner", Account: account(n.keys.Miner)},
		{Key: AdminKey, Name: "admin_dev", Scope: "admin", Account: account(n.keys.Operator)},
	}
}

// runMiner runs the miner, or without one says that the network is ready and waits.
func (n *Network) runMiner(ctx context.Context) error {
	if !n.cfg.WithMiner {
		close(n.ready)
		<-ctx.Done()
		return nil
	}
	cfg := n.cfg.Miner
	cfg.StateDir = filepath.Join(n.cfg.StateDir, "miner")
	cfg.KeyFile = filepath.Join(n.cfg.StateDir, "keys", "miner.key")
	if n.ledger != nil {
		cfg.Ledger = text(n.ledger.GRPCAddr())
	}
	cfg.Coordinators = []string{n.coordinator.GRPCAddr().String()}
	cfg.OwnerKeyHashes = []string{miner.HashKey(AdminKey)}
	service, err := miner.New(cfg, miner.Deps{Logger: n.logs.Miner, Registry: obs.NewRegistry()})
	if err != nil {
		return err
	}
	n.miner = service
	group := run.Group{Grace: time.Minute}
	group.Add("miner", service)
	group.Add("ready", run.Func(func(ctx context.Context) error {
		if await(ctx, service.Ready()) {
			n.meetMiner(ctx)
			close(n.ready)
		}
		<-ctx.Done()
		return nil
	}))
	return group.Run(ctx)
}

// minerPatience is how long the network waits for its miner's first session before it calls itself
// ready; without an engine there is none, and jobs then wait in the queue.
const minerPatience = 10 * time.Second

// meetMiner waits until the coordinator has met the miner, so that the first job finds one.
func (n *Network) meetMiner(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, minerPatience)
	defer cancel()
	if err := n.coordinator.AwaitMiner(ctx, account(n.keys.Miner)); err != nil {
		n.logs.Miner.WarnContext(ctx, "the miner offers no model yet: is Ollama running, and has it one?",
			"ollama_url", n.cfg.Miner.EngineURL, obs.KeyError, err)
	}
}

// await reports whether ready was closed before ctx ended.
func await(ctx context.Context, ready <-chan struct{}) bool {
	select {
	case <-ready:
		return true
	case <-ctx.Done():
		return false
	}
}
