// Package ledgertest makes the keys, transactions and messages that tests of the ledger send.
//
// Invariant: everything is signed as real programs sign it, so a test that changes a field after
// signing tests what a forger would do. Start at NewNetwork.
package ledgertest
