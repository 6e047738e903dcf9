// Command kvpeer runs CometBFT's own example application, the kvstore, on a node of the ledger's
// configuration: the peer that `make bench PART=ledger` measures the ledger beside. What differs
// between the two is the application alone. The home is one that `aitbcd ledger testnet` made; of
// its genesis the kvstore reads the validators.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"

	"github.com/aitbc/aitbc/services/internal/run"
	"github.com/aitbc/aitbc/services/ledger"
	"github.com/aitbc/aitbc/services/ledger/internal/node"
)

func main() {
	c := node.Config{P2PFlag: "p2p-listen", Heartbeat: ledger.DefaultConfig().Heartbeat}
	rpcListen := flag.String("rpc-listen", "127.0.0.1:0", "CometBFT's JSON-RPC")
	peers := flag.String("peers", "", "nodes to connect to, with commas between, each as ID@HOST:PORT")
	flag.StringVar(&c.Home, "home", "", "the node's folder")
	flag.StringVar(&c.P2PListen, c.P2PFlag, "127.0.0.1:0", "where other validators connect")
	flag.Parse()
	if *peers != "" {
		c.Peers = strings.Split(*peers, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, c, *rpcListen); err != nil {
		fmt.Fprintln(os.Stderr, "kvpeer:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, c node.Config, rpcListen string) error {
	if err := node.Prepare(c); err != nil {
		return err
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", rpcListen)
	if err != nil {
		return fmt.Errorf("listen for JSON-RPC: %w", err)
	}
	store := peer{kvstore.NewPersistentApplication(filepath.Join(c.Home, "data"))}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := node.Start(ctx, c, store, listener, log)
	if err != nil {
		return errors.Join(err, listener.Close(), store.Close())
	}
	group := &run.Group{}
	group.Add("node", n)
	group.Add("rpc", n.RPC())
	return errors.Join(group.Run(ctx), store.Close())
}

// peer is the kvstore as a node takes it.
type peer struct{ *kvstore.Application }

var _ node.Application = peer{}

// Halted implements node.Application: the kvstore never says that it stopped.
func (peer) Halted() <-chan error { return nil }

// KnowBlockTime implements node.Application: the kvstore has no clock.
func (peer) KnowBlockTime(func() (int64, time.Time, error)) {}
