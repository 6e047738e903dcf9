package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"
)

// The flags that choose where the service listens.
const (
	FlagRPCListen     = "rpc-listen"
	FlagP2PListen     = "p2p-listen"
	FlagGRPCListen    = "grpc-listen"
	FlagMetricsListen = "metrics-listen"
)

// Config is a ledger node's configuration.
type Config struct {
	// Home is the folder that everything is kept in. Required.
	Home string
	// RPCListen is the address of CometBFT's JSON-RPC. Port 0 is any free one, here and below.
	RPCListen string
	// P2PListen is the address that other validators connect to.
	P2PListen string
	// GRPCListen is the address of LedgerService.
	GRPCListen string
	// MetricsListen is the address of /metrics; empty: not served.
	MetricsListen string
	// Heartbeat is the longest time between blocks: the ledger's clock lags by that much at most.
	Heartbeat time.Duration
	// Peers are the nodes to connect to, each as id@host:port.
	Peers []string
	// JoinRPC, JoinHeight and JoinHash let a node without a state take one up from its peers'
	// snapshots: two or more nodes' JSON-RPC addresses, and a block that is trusted. Empty: it
	// executes all blocks.
	JoinRPC    []string
	JoinHeight int64
	JoinHash   string
	// SnapshotEvery is the number of blocks between states on offer to nodes that join; 0: none.
	SnapshotEvery int64
	// RetainBlocks is how many blocks are kept; 0: all. What the ledger's history knows is kept
	// in any case.
	RetainBlocks int64
	// FlagPrefix stands before the flags that an error about a taken port names; empty but in a
	// program that has other services' flags too.
	FlagPrefix string
	// Genesis is written at the first start; later ones read what was written. Nil: the home
	// folder must have config/genesis.json already.
	Genesis *Genesis
}

// DefaultConfig gives the default of every field but Home.
func DefaultConfig() Config {
	return Config{
		RPCListen:     "127.0.0.1:26657",
		P2PListen:     "127.0.0.1:26656",
		GRPCListen:    "127.0.0.1:18003",
		MetricsListen: "127.0.0.1:26660",
		Heartbeat:     2 * time.Second,
		SnapshotEvery: 1_000,
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	if c.Home == "" {
		faults = append(faults, errors.New("home is empty"))
	}
	addresses := []struct{ flag, addr string }{
		{FlagRPCListen, c.RPCListen}, {FlagP2PListen, c.P2PListen}, {FlagGRPCListen, c.GRPCListen},
	}
	if c.MetricsListen != "" {
		addresses = append(addresses, struct{ flag, addr string }{FlagMetricsListen, c.MetricsListen})
	}
	for _, a := range addresses {
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", a.flag, err))
		}
	}
	if c.Heartbeat < 100*time.Millisecond || c.Heartbeat > time.Minute {
		faults = append(faults, fmt.Errorf("heartbeat is %s, want 100ms to 1m", c.Heartbeat))
	}
	faults = append(faults, c.checkJoin()...)
	if len(faults) > 0 {
		return fmt.Errorf("ledger configuration: %w", errors.Join(faults...))
	}
	return nil
}

// checkJoin reports what is wrong with how nodes join, this one and others.
func (c Config) checkJoin() []error {
	var faults []error
	if n := len(c.JoinRPC); n == 1 || (n == 0) != (c.JoinHeight == 0) || (n == 0) != (c.JoinHash == "") {
		faults = append(faults, errors.New("join-rpc (two addresses or more), join-height and join-hash belong together"))
	}
	if hash, err := hex.DecodeString(c.JoinHash); err != nil || (len(hash) != 0 && len(hash) != sha256.Size) {
		faults = append(faults, fmt.Errorf("join-hash is %q, want a block's hash in hex", c.JoinHash))
	}
	if c.JoinHeight < 0 || c.SnapshotEvery < 0 || c.RetainBlocks < 0 {
		faults = append(faults, errors.New("join-height, snapshot-every and retain-blocks are not negative"))
	}
	// A joining node checks the headers behind a snapshot, which must not be pruned while it is on offer.
	if least := 3*c.SnapshotEvery + 10; c.RetainBlocks != 0 && c.RetainBlocks < least {
		faults = append(faults, fmt.Errorf("retain-blocks is %d, want 0 (all) or %d at least: three times snapshot-every and 10", c.RetainBlocks, least))
	}
	return faults
}
