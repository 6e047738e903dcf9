// Package ledger is the coordinator's typed client of the ledger: queries, broadcasting, and
// the ledger's clock.
//
// It speaks CometBFT's RPC through an [Endpoint]: over HTTP ([DialHTTP]) or to a node in the same
// process ([InProcess]). Every query is the LedgerService method of the same name, carried by
// abci_query. [Client.Run] follows the chain: it subscribes to new blocks, falls back to polling
// when the subscription is silent, and keeps the newest [Head], so that reading the ledger's clock
// costs no call.
//
// Invariants: every call has a deadline; a broadcast that was taken is in the mempool and no more
// than that; another chain than the expected one is refused for good ([ErrWrongChain]); a chain
// that makes no blocks is unavailable, whatever its node answers.
//
// Start with [New] and [Client.Run]; package account answers what dispatch wants to know.
package ledger
