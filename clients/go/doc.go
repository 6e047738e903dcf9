// Package aitbc is the Go client of an AITBC network, and the vocabulary that all its sides share.
//
// AITBC sells AI inference: a client submits a job with a price limit, a coordinator holds the
// client's tokens in escrow on a ledger and hands the job to a miner, the miner answers with a
// signed proof, and the ledger pays for the compute used, refunds the rest and keeps a receipt.
//
// Start with [New] and [Client.Run]. The vocabulary is in the types [AccountID], [JobID] and
// [Amount] and in the signed things: [Order] (what a client authorises), [Lease] (the hand-over
// of one attempt to one miner), [Statement] (what the miner says it did), [Acceptance] (the
// operator's word that the statement was verified and its result is durable) and transactions
// ([SignTx]).
//
// Invariants: every signed thing has exactly one encoding ("signing bytes", docs/signing.md) with
// a domain tag and the chain id in it; what is signed, hashed and verified are those bytes, never
// a protobuf encoded again. Nothing signed or settled is ever a floating-point number.
package aitbc
