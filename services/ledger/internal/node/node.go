package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"

	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/internal/run"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// Config says where a node lives and how it behaves.
type Config struct {
	// Home is its folder.
	Home string
	// P2PListen is where other validators connect to.
	P2PListen string
	// P2PFlag is the flag that chooses it, for errors.
	P2PFlag string
	// Heartbeat is the longest time between blocks.
	Heartbeat time.Duration
	// Peers are the nodes to connect to, each as id@host:port.
	Peers []string
	// Join says how a node without a state takes one up from others.
	Join Join
	// Genesis is written when Home has none.
	Genesis *state.Genesis
}

// Join says how a node without a state joins: by a snapshot of its peers, held to a header that two
// nodes' JSON-RPC and a block hash that its owner trusts lead to. Its zero value: it executes all blocks.
type Join struct {
	// RPCServers are two or more nodes' JSON-RPC addresses.
	RPCServers []string
	// TrustHeight and TrustHash name a block that the owner trusts.
	TrustHeight int64
	TrustHash   string
}

// Enabled reports whether anything is set.
func (j Join) Enabled() bool { return len(j.RPCServers) > 0 || j.TrustHeight != 0 || j.TrustHash != "" }

// Application is what a node runs.
type Application interface {
	abci.Application
	// Halted gets the first error that stopped the chain; it may be nil.
	Halted() <-chan error
	// KnowBlockTime is told, before the node starts, how to ask for the time of the block that was
	// executed last, by CometBFT's record.
	KnowBlockTime(ask func() (height int64, at time.Time, err error))
}

// Node is a running CometBFT node.
type Node struct {
	node   *node.Node
	client *local.Local
	rpc    *run.HTTP
	halted <-chan error
	log    cometLog
}

// Prepare makes the home's folders, keys and genesis document, whatever is missing of them.
func Prepare(c Config) error {
	_, _, err := prepare(c)
	return err
}

func prepare(c Config) (*config.Config, keys, error) {
	cc := cometConfig(c)
	if err := cc.ValidateBasic(); err != nil {
		return nil, keys{}, fmt.Errorf("CometBFT's configuration: %w", err)
	}
	for _, folder := range []string{"config", "data"} {
		if err := os.MkdirAll(filepath.Join(c.Home, folder), 0o700); err != nil {
			return nil, keys{}, fmt.Errorf("make the ledger's folder: %w", err)
		}
	}
	k, err := loadKeys(cc)
	if err != nil {
		return nil, keys{}, err
	}
	public, err := k.validator.GetPubKey()
	if err != nil {
		return nil, keys{}, fmt.Errorf("read the validator's public key: %w", err)
	}
	return cc, k, ensureGenesis(c.Home, c.Genesis, public)
}

// Start starts a node on the application: it lets CometBFT replay what the application missed. The
// listener is for JSON-RPC; Run closes it. The caller must call Run when there is no error.
func Start(ctx context.Context, c Config, application Application, listener net.Listener, logger *slog.Logger) (*Node, error) {
	cc, k, err := prepare(c)
	if err != nil {
		return nil, err
	}
	if err := probe(ctx, c.P2PListen, c.P2PFlag); err != nil {
		return nil, err
	}
	log := newCometLog(logger)
	n, err := node.NewNodeWithContext(ctx, cc, k.validator, k.node,
		proxy.NewConnSyncLocalClientCreator(application),
		node.DefaultGenesisDocProviderFunc(cc), config.DefaultDBProvider,
		node.DefaultMetricsProvider(cc.Instrumentation), log)
	if err != nil {
		return nil, fmt.Errorf("make the CometBFT node: %w", err)
	}
	if err := knowBlockTime(n, application); err != nil {
		return nil, err
	}
	server, err := newRPC(ctx, n, listener, log)
	if err == nil {
		err = n.Start()
	}
	if err != nil {
		log.stopping.Store(true)
		n.OnStop() // Stop does nothing for a node that never ran, but its databases are open
		return nil, fmt.Errorf("start the CometBFT node: %w", err)
	}
	return &Node{node: n, client: local.New(n), rpc: server, halted: application.Halted(), log: log}, nil
}

// knowBlockTime lets the application compare its state's time with CometBFT's record.
func knowBlockTime(n *node.Node, application Application) error {
	env, err := n.ConfigureRPC()
	if err != nil {
		return fmt.Errorf("reach the CometBFT node's state: %w", err)
	}
	application.KnowBlockTime(func() (int64, time.Time, error) {
		last, err := env.StateStore.Load()
		if err != nil {
			return 0, time.Time{}, fmt.Errorf("read the CometBFT node's state: %w", err)
		}
		return last.LastBlockHeight, last.LastBlockTime, nil
	})
	return nil
}

// probe looks whether the p2p port is free, because CometBFT's own error does not say how to choose
// another one.
func probe(ctx context.Context, addr, flag string) error {
	listener, err := rpc.Listen(ctx, addr, flag)
	if err != nil {
		return err
	}
	return listener.Close()
}

// Client gives a client that calls the node in this process.
func (n *Node) Client() *local.Local { return n.client }

// RPC is the JSON-RPC server, to be run beside the node.
func (n *Node) RPC() *run.HTTP { return n.rpc }

// errStopped is returned when the node ended without being told to.
var errStopped = errors.New("the CometBFT node stopped by itself")

// Run waits until ctx ends, the chain halts or joining has failed, and stops the node.
func (n *Node) Run(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
	case err = <-n.halted:
		err = fmt.Errorf("the chain halted: %w", err)
	case err = <-n.log.stranded:
		err = fmt.Errorf("this node cannot join by a snapshot; start it again: %w", err)
	case <-n.node.Quit():
		return errStopped
	}
	n.log.stopping.Store(true)
	if stopErr := n.node.Stop(); stopErr != nil {
		return errors.Join(err, fmt.Errorf("stop the CometBFT node: %w", stopErr))
	}
	n.node.Wait()
	return err
}
