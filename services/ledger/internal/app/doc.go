// Package app is the adapter between CometBFT and the ledger's state machine. It translates ABCI
// calls and keeps the state on disk; it decides nothing about money.
//
// CometBFT calls over three connections at once: consensus (InitChain, FinalizeBlock, Commit),
// mempool (CheckTx) and query. Consensus is the only writer; queries read the last committed state,
// which never changes; CheckTx has a block of its own that is thrown away at each Commit.
//
//	FinalizeBlock: state.Begin, Apply each, End      -> the next state, in memory
//	Commit:        history (synced), then the entries with height and hash in one batch
//
// Invariants: the height on disk never exceeds that of CometBFT's block store, because Commit comes
// after the block is stored; what is on disk is always one block's state as a whole. Killed at any
// point, the node is asked for its height (Info) and gets the missing blocks again.
//
// Start at App.FinalizeBlock and App.Commit.
package app
