// Package job is the coordinator's domain: what a job is, the states it passes through, and which
// step is allowed when. It is pure: no storage, network, clock or logging; time is an argument.
//
//	escrowing --Escrowed--> queued --Leased--> leased --Started--> running --ResultAccepted--> settling --Settled--> done
//	    |                     ^                   \___ stream drops: unknown ___/                   ^
//	    |EscrowRefused        |_____ AttemptFailed, while another attempt is allowed                |
//	    v                                                                                           |
//	  done                    Expired, Cancelled, AttemptFailed: refund ----------------------------+
//
// Invariants: nothing runs before its escrow is committed; a job has at most one current lease,
// fenced by its attempt number; once a result is accepted neither cancel nor timeout applies; done
// is reached exactly once, and only by what the ledger said. Start with Job and transition.go.
package job

import (
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Phase is where a job is. The words are the API's.
type Phase string

// The phases, in the order of a job's life.
const (
	Escrowing Phase = "escrowing"
	Queued    Phase = "queued"
	Leased    Phase = "leased"
	Running   Phase = "running"
	Unknown   Phase = "unknown"
	Settling  Phase = "settling"
	Done      Phase = "done"
)

// Status is the coarse state that clients see. The words are the API's.
type Status string

// The statuses. The last three are terminal.
const (
	StatusPending   Status = "pending"
	StatusRunning   Status = "running"
	StatusCompleted Status = "completed"
	StatusFailed    Status = "failed"
	StatusCancelled Status = "cancelled"
)

// Job is everything about a job but its prompt (Payload) and its result, which are kept apart
// because they are large. It is a value: transitions change a copy.
type Job struct {
	// ID is the job's id.
	ID aitbc.JobID
	// Order is what the client authorised: account, price limit, execution limit, deadlines.
	Order aitbc.Order
	// OrderSignature is the client's own; empty when its allowance stands for it.
	OrderSignature []byte
	// ClientKey is the client's public key, when the client gave it with a signed order.
	ClientKey []byte
	// Salt opens the commitments.
	Salt aitbc.Salt

	// Type is what to do.
	Type string
	// Model is the model's full name.
	Model string
	// PinnedDigest is the digest the client insists on; zero: any.
	PinnedDigest aitbc.Hash
	// QueueTimeout bounds each wait for a miner, TotalTimeout everything from submit to result.
	QueueTimeout time.Duration
	TotalTimeout time.Duration
	// ClientLimit says that the client set the execution limit itself and pays up to it.
	ClientLimit bool
	// MaxAttempts is how many hand-overs are allowed.
	MaxAttempts uint32
	// Priority is which of the jobs that wait for the model go first.
	Priority aitbc.Priority
	// Budget names whose spend per day the job counts in, with commas between: a line of API keys, an
	// account; empty: none.
	Budget string

	// Shard is the part of the operator's jobs that it belongs to; one replica at a time has it.
	Shard int32

	// Phase is where the job is; Outcome the terminal status it is heading for or has reached,
	// empty while that is open.
	Phase   Phase
	Outcome Status
	// Failure is why it fails or is cancelled; zero while it does not. While the job waits for
	// another attempt it is why the last one failed.
	Failure Failure

	// Attempt is the number of the last hand-over, which its lease has: see Attempts.
	Attempt uint32
	// Miner, ModelDigest, LeaseIssuedUS and LeaseSignature are the last lease's.
	Miner          aitbc.AccountID
	ModelDigest    aitbc.Hash
	LeaseIssuedUS  int64
	LeaseSignature []byte
	// Excluded are miners that must not get the job again.
	Excluded []aitbc.AccountID

	// SubmittedAt is when it was durable. QueuedAt is when it last began to wait for a miner.
	SubmittedAt time.Time
	QueuedAt    time.Time
	// LeasedAt is when the current lease was handed over, by the coordinator's clock.
	LeasedAt time.Time
	// StartedAt is when the miner said it began.
	StartedAt time.Time
	// StopBy is when a miner told to stop must have sent its statement; zero: not told to.
	StopBy time.Time
	// CompletedAt is when the job was done.
	CompletedAt time.Time

	// Completion is the accepted result's statement; nil until there is one.
	Completion *Completion
	// Settlement is what the ledger said in the end; nil until then.
	Settlement *Settlement
	// EscrowTx is the hash of the transaction with the escrow; zero until it is known.
	EscrowTx aitbc.Hash
}

// Failure is why a job did not complete.
type Failure struct {
	// Reason is its class; unspecified: none.
	Reason coordinatorv1.ErrorReason
	// Message is for people.
	Message string
}

// IsZero reports whether there is no failure.
func (f Failure) IsZero() bool { return f.Reason == coordinatorv1.ErrorReason_ERROR_REASON_UNSPECIFIED }

// Payload is the large part of what was asked for. Type, Model and ModelDigest are the job's.
// Prompt is hashed, kept and handed on as it is: of a chat and of an embedding it is the content, a
// JSON text.
type Payload struct {
	Prompt  string
	Options aitbc.Options
}

// Completion is an accepted result without its bytes.
type Completion struct {
	// ResultHash is the SHA-256 of the result's bytes.
	ResultHash aitbc.Hash
	// Statement is what the miner signed, Signature its signature.
	Statement aitbc.Statement
	Signature []byte
	// MinerKey is the public key that Signature was checked with.
	MinerKey []byte
	// MeteredUS is the billable time, OperatorUS the coordinator's own clock from hand-over to
	// result, both in microseconds.
	MeteredUS  int64
	OperatorUS int64
	// AcceptanceSignature is the operator's signature of the acceptance.
	AcceptanceSignature []byte
	// FinishReason is why the answer ended, by the miner's word: "stop", "length", "tool_calls"; empty:
	// it did not say.
	FinishReason string
	// GPUUtilization is the device's mean use, 0 to 1; nil: no GPU.
	GPUUtilization *float64
	// At is when it was accepted.
	At time.Time
}

// Acceptance gives the operator's acceptance of the completion.
func (c Completion) Acceptance() aitbc.Acceptance {
	return aitbc.Acceptance{
		ChainID:       c.Statement.ChainID,
		JobID:         c.Statement.JobID,
		StatementHash: c.Statement.Hash(),
		MeteredUS:     c.MeteredUS,
	}
}

// Settlement is how the ledger ended a job's escrow. Paid + Refunded = escrowed.
type Settlement struct {
	// Paid is what the miner got, Refunded what the client got back.
	Paid     aitbc.Amount
	Refunded aitbc.Amount
	// Height and BlockTime are the block's, zero for a refund whose block the ledger's history no
	// longer has; TxHash is the transaction's, zero when the ledger did it by itself.
	Height    int64
	BlockTime time.Time
	TxHash    aitbc.Hash
	// RefundFinalAt is the ledger time from which no receipt can overtake the refund; zero when
	// there is a receipt.
	RefundFinalAt time.Time
	// HasReceipt says that a receipt was recorded.
	HasReceipt bool
}

// Status gives the coarse state: terminal only when the job is done.
func (j Job) Status() Status {
	switch {
	case j.Phase == Done:
		return j.Outcome
	case j.Phase == Running, j.Phase == Unknown, j.Phase == Settling && !j.StartedAt.IsZero():
		return StatusRunning
	default:
		return StatusPending
	}
}

// Lease gives the signed hand-over of the current attempt.
func (j Job) Lease() aitbc.Lease {
	return aitbc.Lease{
		ChainID:     j.Order.ChainID,
		OrderHash:   j.Order.Hash(),
		JobID:       j.ID,
		Attempt:     j.Attempt,
		Operator:    j.Order.Operator,
		Miner:       j.Miner,
		Model:       j.Model,
		ModelDigest: j.ModelDigest,
		IssuedUS:    j.LeaseIssuedUS,
	}
}

// HasLease reports whether a miner holds the job now.
func (j Job) HasLease() bool {
	return j.Phase == Leased || j.Phase == Running || j.Phase == Unknown
}

// HeldBy reports whether miner holds this attempt now.
func (j Job) HeldBy(miner aitbc.AccountID, attempt uint32) bool {
	return j.HasLease() && j.Miner == miner && j.Attempt == attempt
}

// Excludes reports whether miner must not get the job.
func (j Job) Excludes(miner aitbc.AccountID) bool { return slices.Contains(j.Excluded, miner) }

// MaxMaxAttempts bounds MaxAttempts: the count of a job's hand-overs is the last two digits of their
// numbers.
const MaxMaxAttempts = 99

// Attempts counts the hand-overs so far.
func (j Job) Attempts() uint32 { return j.Attempt % (MaxMaxAttempts + 1) }

// generationLength is the time in which a process begins that makes its generation: in uint32 the
// numbers of attempts reach until 2065.
const generationLength = 30 * time.Second

// Generation gives the generation of a process that begins at this time.
func Generation(began time.Time) uint32 {
	return uint32(max(began.Sub(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)), 0) / generationLength) // a clock that is not set: 0
}

// InGeneration gives the job with its next attempts numbered in a generation, if they are not in that
// or a later one: the number of an attempt is its generation x 100 + its count. So a process that has
// not seen a job from its beginning, as after a restored backup, gives no number to an attempt that may
// have been given in a history that is lost.
func (j Job) InGeneration(generation uint32) Job {
	if first := generation * (MaxMaxAttempts + 1); j.Attempt < first {
		j.Attempt = first + j.Attempts()
	}
	return j
}

// WaitsUntil gives when the job has waited long enough for a miner; zero: it does not wait for one.
func (j Job) WaitsUntil() time.Time {
	if j.Phase != Queued {
		return time.Time{}
	}
	return j.Deadline()
}

// ExecutionLimit gives how long an attempt may run.
func (j Job) ExecutionLimit() time.Duration {
	return time.Duration(j.Order.ExecutionLimitUS) * time.Microsecond
}
