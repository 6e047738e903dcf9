package node

import (
	"strings"
	"time"

	"github.com/cometbft/cometbft/config"

	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const (
	// maxBlockBytes keeps a block's execution well under a second.
	maxBlockBytes = 4 << 20
	// mempoolTxs and mempoolBytes bound what waits; the seen-before cache holds twice as many.
	mempoolTxs   = 20_000
	mempoolBytes = 64 << 20
	// maxRPCBody holds the largest transaction in base64 in JSON twice over.
	maxRPCBody        = 4 << 20
	maxRPCConnections = 900
	// With one validator these pass only when something is wrong; with several they bound how long
	// a dead proposer delays a block.
	proposeTimeout = 500 * time.Millisecond
	voteTimeout    = 100 * time.Millisecond
	// maxDialPeriod bounds the wait before a peer that was away is called again.
	maxDialPeriod = 5 * time.Second
	// discoveryTime is how long a joining node collects its peers' snapshots; the least there is.
	discoveryTime = 5 * time.Second
)

// cometConfig gives CometBFT's configuration.
func cometConfig(c Config) *config.Config {
	cc := config.DefaultConfig()
	cc.SetRoot(c.Home)
	cc.Moniker = "aitbc"
	cc.RPC.ListenAddress = "" // served by serveRPC, on a listener of ours
	cc.RPC.MaxBodyBytes = maxRPCBody
	cc.RPC.MaxOpenConnections = maxRPCConnections
	cc.P2P.ListenAddress = "tcp://" + c.P2PListen
	cc.P2P.PexReactor = false
	cc.P2P.AddrBookStrict = false
	cc.P2P.AllowDuplicateIP = true
	cc.Consensus.TimeoutCommit = 0
	cc.Consensus.TimeoutPropose = proposeTimeout
	cc.Consensus.TimeoutPrevote = voteTimeout
	cc.Consensus.TimeoutPrecommit = voteTimeout
	cc.Consensus.CreateEmptyBlocks = false
	cc.Consensus.CreateEmptyBlocksInterval = c.Heartbeat
	cc.Mempool.Size = mempoolTxs
	cc.Mempool.CacheSize = 2 * mempoolTxs
	cc.Mempool.MaxTxsBytes = mempoolBytes
	cc.Mempool.MaxTxBytes = state.MaxTxBytes
	cc.TxIndex.Indexer = "null"
	// The defaults (10 ms and 100 ms) dominate a block's time with several validators.
	cc.P2P.FlushThrottleTimeout = time.Millisecond
	cc.Consensus.PeerGossipSleepDuration = 2 * time.Millisecond
	cc.P2P.PersistentPeers = strings.Join(c.Peers, ",")
	cc.P2P.PersistentPeersMaxDialPeriod = maxDialPeriod
	if c.Join.Enabled() {
		cc.StateSync.Enable = true
		cc.StateSync.RPCServers = c.Join.RPCServers
		cc.StateSync.TrustHeight = c.Join.TrustHeight
		cc.StateSync.TrustHash = c.Join.TrustHash
		cc.StateSync.DiscoveryTime = discoveryTime
	}
	// Its metrics are registered process-wide, which a second node in the process would not survive.
	cc.Instrumentation.Prometheus = false
	return cc
}
