// Package node runs CometBFT in this process: its configuration, keys, genesis document, JSON-RPC
// server and log.
//
// The settings are for quick commits with few idle blocks: no wait after a commit, no empty blocks
// but a heartbeat that moves the ledger's clock, peer exchange off, its own transaction index off
// (it never prunes; ours answers). A lone transaction costs two blocks: the second one carries the
// new state's hash.
//
// Everything of a node is in its home folder: config/ has the genesis document and the keys,
// data/ the databases and the guard against signing twice (priv_validator_state.json), which must
// never be restored from an older copy.
//
// Start at New and Node.Run.
package node
