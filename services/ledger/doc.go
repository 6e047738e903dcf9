// Package ledger is the ledger service: the state machine of package state on CometBFT, in one
// process, with JSON-RPC, gRPC and metrics.
//
// A Service is used once: New, then Run. What runs is known when Ready is closed: its addresses
// and Client, a client that calls the node without a socket. Any number of Services, each with a
// home folder of its own, may run in one process.
//
//	api, abci_query -> query -> state, history
//	CometBFT (node) -> app -> state -> history, entries on disk
//
// Start at Service.Run; docs/ledger.md is the page about it all.
package ledger
