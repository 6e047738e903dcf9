// Package state is the ledger's state machine: a pure function from a state and a block of
// transactions to the next state and a result for each message.
//
// A [State] is what one block left behind; it never changes. [State.Begin] opens the next block,
// [Block.Apply] applies one transaction, [Block.End] runs what became due and gives the next
// State with the entries to be stored. Start at [Block.Apply].
//
// Invariants:
//   - The same state and the same block give the same result everywhere: nothing here reads a
//     clock, a file, the network or a random number, starts a goroutine, computes with floats or
//     walks a map. What is read is what the app hash commits to, and nothing else.
//   - balances + escrows + stakes + unbonding + burned = supply, checked at every block's end.
//   - Bad input gives a code, never a panic. A panic means that an entry of our own is corrupt.
//   - Messages are applied one by one; one that is refused leaves no trace.
//   - A transaction is admitted at most once, whatever becomes of its messages.
//
// Time is the ledger's clock: block time less the cut-off, the sum of what every gap between
// blocks exceeded [Params.MaxBlockGapUS] by. An outage therefore lets nothing expire. Only the
// cut-off is hashed; the last block's time is kept beside the state, because a hash that changed
// with every block would make the chain produce blocks for ever.
//
// The app hash commits to the entries ([tree.Tree]) and to an append-only log of all receipts
// (RFC 6962), of which a few dozen hashes are all that is kept here: see appHash.
package state
