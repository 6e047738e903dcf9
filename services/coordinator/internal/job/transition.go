package job

import (
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// StopGrace is how long a miner told to stop has to send its one statement.
const StopGrace = 5 * time.Second

// UnknownGrace is how long a job waits for its miner's stream to come back.
const UnknownGrace = 30 * time.Second

// LeaseGrace is how much longer than the execution limit a lease lasts: time for the model to be
// loaded and for the result to travel.
const LeaseGrace = 60 * time.Second

// Message is what a transition owes the ledger. It is stored with the transition, in the same
// transaction; its content is made from the job when it is sent.
type Message string

// The messages. None: the transition owes nothing.
const (
	None          Message = ""
	SubmitJob     Message = "submit_job"
	RecordReceipt Message = "record_receipt"
	RefundJob     Message = "refund_job"
)

func (j Job) refuse(step string) error {
	return &Error{
		Why:     coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE,
		Message: fmt.Sprintf("%s: the job is %s/%s", step, j.Status(), j.Phase),
	}
}

// Escrowed: the ledger holds the money. The job may wait for a miner, unless it was cancelled or
// ran out of time in between; then its escrow goes back.
func (j Job) Escrowed(now time.Time, tx aitbc.Hash) (Job, Message, error) {
	if j.Phase != Escrowing {
		return j, None, j.refuse("escrow")
	}
	j.EscrowTx = tx
	if j.Outcome != "" {
		j.Phase = Settling
		return j, RefundJob, nil
	}
	j.Phase, j.QueuedAt = Queued, now
	return j, None, nil
}

// EscrowRefused: the ledger will never hold the money. Nothing moved; the job is done.
func (j Job) EscrowRefused(now time.Time, why Failure) (Job, Message, error) {
	if j.Phase != Escrowing {
		return j, None, j.refuse("refuse escrow")
	}
	if j.Outcome == "" {
		j.Outcome, j.Failure = StatusFailed, why
	}
	j.Phase, j.CompletedAt = Done, now
	return j, None, nil
}

// LeasedTo: one more attempt, handed to miner for the model with this digest. The caller signs
// the lease afterwards.
func (j Job) LeasedTo(now time.Time, miner aitbc.AccountID, digest aitbc.Hash) (Job, Message, error) {
	if j.Phase != Queued || j.Attempts() >= j.MaxAttempts || j.Excludes(miner) {
		return j, None, j.refuse("lease")
	}
	j.Phase = Leased
	j.Attempt++
	j.Miner, j.ModelDigest = miner, digest
	j.LeasedAt, j.LeaseIssuedUS = now, now.UnixMicro()
	j.LeaseSignature, j.StartedAt = nil, time.Time{}
	j.Failure = Failure{} // that of the attempt before
	return j, None, nil
}

// Started: the miner says the attempt runs. Saying it again changes nothing.
func (j Job) Started(now time.Time, miner aitbc.AccountID, attempt uint32) (Job, Message, error) {
	if !j.HeldBy(miner, attempt) {
		return j, None, ErrLeaseNotHeld
	}
	if j.Phase == Running {
		return j, None, nil
	}
	j.Phase = Running
	if j.StartedAt.IsZero() {
		j.StartedAt = now
	}
	return j, None, nil
}

// Lost: the stream of the job's miner dropped. The miner may still be at work.
func (j Job) Lost() (Job, Message, error) {
	if !j.HasLease() {
		return j, None, j.refuse("lose")
	}
	j.Phase = Unknown
	return j, None, nil
}

// Found: the stream of the job's miner is back, and the miner still has the lease or will get it
// again.
func (j Job) Found() (Job, Message, error) {
	if j.Phase != Unknown {
		return j, None, j.refuse("find")
	}
	if j.Phase = Leased; !j.StartedAt.IsZero() {
		j.Phase = Running
	}
	return j, None, nil
}

// Accepted: the result is verified. From here only the ledger decides. A job that was being
// stopped keeps its outcome and pays for what was done; one whose miner stopped by itself at the
// limit that the client set ends as if it had been told to. A running statement is taken for a job
// that is stopped, or would be, when there will be no final one.
func (j Job) Accepted(c Completion) (Job, Message, error) {
	if !j.HeldBy(j.Miner, c.Statement.Attempt) {
		return j, None, ErrLeaseNotHeld
	}
	partial := c.Statement.Stopped || c.Statement.Running
	if partial && j.Outcome == "" && !j.ClientLimit {
		return j, None, Errorf(coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED,
			"the statement is about a part of attempt %d, but nobody stopped it", j.Attempt)
	}
	if j.StartedAt.IsZero() {
		j.StartedAt = j.LeasedAt
	}
	switch {
	case j.Outcome != "":
	case partial:
		j.Outcome, j.Failure = StatusCancelled, j.limitReached()
	default:
		j.Outcome, j.Failure = StatusCompleted, Failure{}
	}
	j.Phase, j.Completion, j.StopBy = Settling, &c, time.Time{}
	return j, RecordReceipt, nil
}

// AttemptFailed: the attempt ended without a result. The job waits for another miner when its
// class and its attempts allow; else its escrow goes back.
func (j Job) AttemptFailed(now time.Time, miner aitbc.AccountID, attempt uint32, why Failure) (Job, Message, error) {
	if !j.HeldBy(miner, attempt) {
		return j, None, ErrLeaseNotHeld
	}
	if j.Outcome != "" { // being stopped, and there will be no statement
		j.Phase, j.StopBy = Settling, time.Time{}
		return j, RefundJob, nil
	}
	if why.Reason == coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT && j.ClientLimit {
		return j.end(StatusCancelled, why)
	}
	verdict := Judge(why.Reason)
	if verdict.Exclude && !j.Excludes(miner) {
		j.Excluded = append(j.Excluded[:len(j.Excluded):len(j.Excluded)], miner)
	}
	if !verdict.Retry || j.Attempts() >= j.MaxAttempts {
		return j.end(StatusFailed, why)
	}
	// Kept for the case that nobody else takes it: the cause is worth more than "queue timeout".
	j.Failure = why
	j.Phase, j.QueuedAt, j.StartedAt = Queued, now, time.Time{}
	return j, None, nil
}

// GaveUp: a queued job has been tried and no other miner is eligible; the cause of its last
// attempt becomes its own.
func (j Job) GaveUp() (Job, Message, error) {
	if j.Phase != Queued || j.Failure.IsZero() {
		return j, None, j.refuse("give up")
	}
	return j.end(StatusFailed, j.Failure)
}

func (j Job) end(outcome Status, why Failure) (Job, Message, error) {
	j.Phase, j.Outcome, j.Failure, j.StopBy = Settling, outcome, why, time.Time{}
	return j, RefundJob, nil
}

// Cancelled: the client wants no more of it. A job whose miner is at work is told to stop and has
// StopGrace to send its statement; a job whose escrow is under way ends when that is known.
// Cancelling again changes nothing.
func (j Job) Cancelled(now time.Time) (Job, Message, error) {
	why := Failure{coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED, "cancelled by the client"}
	switch {
	case j.Outcome == StatusCancelled:
		return j, None, nil
	case j.Outcome != "":
		return j, None, j.refuse("cancel")
	case j.Phase == Escrowing:
		j.Outcome, j.Failure = StatusCancelled, why
		return j, None, nil
	case j.Phase == Queued:
		return j.end(StatusCancelled, why)
	case j.HasLease():
		j.Outcome, j.Failure, j.StopBy = StatusCancelled, why, now.Add(StopGrace)
		return j, None, nil
	default:
		return j, None, j.refuse("cancel")
	}
}

// Freed: the job has ended, and there is no ledger that would have to say so. Repeating it changes
// nothing.
func (j Job) Freed(now time.Time) (Job, Message, error) {
	if j.Phase == Done {
		return j, None, nil
	}
	if j.Outcome == "" || j.Phase != Settling {
		return j, None, j.refuse("end")
	}
	j.Phase, j.CompletedAt, j.Settlement = Done, now, &Settlement{Refunded: j.Order.MaxPrice}
	return j, None, nil
}

// Settled: the ledger ended the escrow. Repeating it changes nothing.
func (j Job) Settled(now time.Time, s Settlement) (Job, Message, error) {
	if j.Phase == Done {
		return j, None, nil
	}
	switch {
	case s.HasReceipt && j.Outcome != StatusCancelled:
		j.Outcome, j.Failure = StatusCompleted, Failure{}
	case !s.HasReceipt && (j.Outcome == "" || j.Outcome == StatusCompleted):
		j.Outcome = StatusFailed
		j.Failure = Failure{
			coordinatorv1.ErrorReason_ERROR_REASON_SETTLEMENT_EXPIRED,
			"the escrow returned before a receipt was recorded",
		}
	}
	j.Phase, j.CompletedAt, j.Settlement, j.StopBy = Done, now, &s, time.Time{}
	return j, None, nil
}
