// Package verify proves receipts: that the chain whose block hash somebody already trusts holds
// exactly this receipt, of exactly this result, paid by exactly these signed papers. It believes
// nobody: neither the operator nor the ledger's node that gave the proof.
//
//	bundle, err := verify.Decode(file)
//	...
//	err = verify.Receipt(bundle, blockHash)
//
// The links, from the result to the trusted hash, each named by the error when it breaks:
//
//	result --> receipt --> log --> app hash --> header --> validators --> signatures --> trusted hash
//
// Invariants: what Decode accepts, Encode writes byte for byte, and there is no byte in it that
// Receipt does not check: a file with any byte changed is refused. No input panics. Nothing here
// looks at a clock or asks anybody, but for Prove.
//
// It is a package of its own because it needs CometBFT's types, which few users of the SDK want to
// pay for. Start at Bundle and Receipt; the file's format is in docs/receipts.md.
package verify
