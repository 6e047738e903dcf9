package job

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Outcome is what became of a message that was owed to the ledger. Whoever applies it takes the
// message (JobID, Kind) from the outbox in the same transaction.
type Outcome struct {
	// JobID and Kind name the message.
	JobID aitbc.JobID
	Kind  Message
	// Settlement is how the escrow ended; nil while it is open or when there never was one. A
	// SubmitJob can have one too: an escrow whose outcome was learnt only after it had ended.
	Settlement *Settlement
	// Free says that there is no ledger: nothing was escrowed, and the job ends as it is.
	Free bool
	// Refused is why the ledger will never hold the money; zero: it was not refused.
	Refused Failure
	// EscrowTx is the hash of the transaction with the escrow; zero when the ledger's history no
	// longer has it.
	EscrowTx aitbc.Hash
}

// Apply makes the step that an outcome asks for. An outcome that comes again changes nothing.
func (j Job) Apply(now time.Time, o Outcome) (Job, Message, error) {
	if !o.EscrowTx.IsZero() && j.EscrowTx.IsZero() {
		j.EscrowTx = o.EscrowTx
	}
	switch {
	case o.Settlement != nil:
		return j.Settled(now, *o.Settlement)
	case o.Free && o.Kind != SubmitJob:
		return j.Freed(now)
	case o.Kind != SubmitJob:
		return j, None, j.refuse("apply an outcome of " + string(o.Kind) + " without a settlement")
	case j.Phase != Escrowing:
		return j, None, nil
	case !o.Refused.IsZero():
		return j.EscrowRefused(now, o.Refused)
	default:
		return j.Escrowed(now, o.EscrowTx)
	}
}
