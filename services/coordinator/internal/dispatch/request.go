package dispatch

import (
	"crypto/ed25519"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// SubmitRequest is a job that a client asks for. The ranges of its fields are the contract's and
// are checked before it comes here.
type SubmitRequest struct {
	// Client is whose key was used.
	Client aitbc.AccountID
	// RequestID is the idempotency key; empty: none.
	RequestID string
	// Type is aitbc.TypeInference, aitbc.TypeChat or aitbc.TypeEmbedding.
	Type string
	// Model is the model's name; without a tag, ":latest".
	Model string
	// Digest pins the model; zero: any.
	Digest aitbc.Hash
	// Prompt and Options are the payload; the prompt of a chat and of an embedding is its content.
	Prompt  string
	Options aitbc.Options
	// MaxPrice is the escrow, and limits execution to what it pays for; 0: price x execution limit.
	MaxPrice aitbc.Amount
	// Queue, Execution and Total are the client's timeouts; 0: the default.
	Queue     time.Duration
	Execution time.Duration
	Total     time.Duration
	// Priority is which of the jobs that wait for the model go first. Omitted from the hash while it is
	// the default, as requests were before there was one.
	Priority aitbc.Priority `json:",omitzero"`
	// Order is the client's own signed order; nil: its allowance stands for it.
	Order *SignedOrder
	// Budget bounds what the jobs of the caller's keys may cost, beside what its account may spend
	// (Quotas.SpendPerDay); who asks is no part of what is asked for.
	Budget Budget `json:"-"`
}

// Budget bounds what the jobs of a line of API keys, or of an account, may cost in a day (UTC).
type Budget struct {
	// Line names it, PerDay is the bound; 0: none.
	Line   string
	PerDay aitbc.Amount
	// ofAccount: it is an account's.
	ofAccount bool
}

// SignedOrder is an order that the client signed.
type SignedOrder struct {
	// Body is the order's signing bytes, Signature the client's signature of them.
	Body      []byte
	Signature []byte
	// Salt opens the order's commitment.
	Salt aitbc.Salt
	// PublicKey is the client's, needed while the ledger does not know it; else nil.
	PublicKey ed25519.PublicKey
}

// MinerState is everything a miner says of itself.
type MinerState struct {
	// Slots is how many jobs it runs at once, at most.
	Slots int
	// Draining says that it takes nothing new.
	Draining bool
	// Engine is its engine and version.
	Engine string
	// PriceFloor is the least it works for, per compute second.
	PriceFloor aitbc.Amount
	// Models are what it can run, Devices what they run on.
	Models  []*coordinatorv1.MinerModel
	Devices []*coordinatorv1.MinerDevice
	// Running and Finished are ids of leases that it runs, or whose results are on its disk.
	Running  []string
	Finished []string
	// Pullable are the full names of the models that it lacks and may be asked to pull; Pulls is what has
	// become of those that it was.
	Pullable []string
	Pulls    []*coordinatorv1.ModelPull
}

// Result is a finished attempt.
type Result struct {
	// JobID and Attempt name the lease.
	JobID   aitbc.JobID
	Attempt uint32
	// Result is the answer.
	Result string
	// Statement is the statement's signing bytes, Signature the miner's signature of them.
	Statement []byte
	Signature []byte
	// FinishReason is why the answer ended, by the miner's word: "stop", "length", "tool_calls"; empty:
	// it did not say.
	FinishReason string
	// GPUUtilization is the device's mean use, 0 to 1; nil: no GPU.
	GPUUtilization *float64
}

// Completion is a finished attempt by the unary twin: the parts of its statement. Those that are
// zero are the lease's and the miner's.
type Completion struct {
	// JobID is the job, Attempt the statement's attempt; 0: the lease's.
	JobID   aitbc.JobID
	Attempt uint32
	// Result is the answer, Hash its SHA-256 by the miner's word.
	Result string
	Hash   aitbc.Hash
	// Signature is the miner's signature of the statement.
	Signature []byte
	// ComputeUS is the compute time in microseconds.
	ComputeUS int64
	// PromptTokens and OutputTokens are what the engine counted.
	PromptTokens uint32
	OutputTokens uint32
	// Engine is the engine and its version; empty: what the miner's session said last.
	Engine string
	// ModelDigest is what ran; zero: the lease's.
	ModelDigest aitbc.Hash
	// FinishReason is why the answer ended, by the miner's word: "stop", "length", "tool_calls"; empty:
	// it did not say.
	FinishReason string
	// GPUUtilization is the device's mean use, 0 to 1; nil: no GPU.
	GPUUtilization *float64
}

// Claim asks for one particular queued job. Type, Prompt and Model must be the job's.
type Claim struct {
	JobID  aitbc.JobID
	Type   string
	Prompt string
	Model  string
}

// MinerView is a connected miner, or one whose stream dropped a moment ago.
type MinerView struct {
	// ID is its account.
	ID aitbc.AccountID
	// Status is "connected", "unknown" or "draining".
	Status string
	// Stake is its stake by the ledger when that was last asked.
	Stake aitbc.Amount
	// Standing is what the scheduler has learnt of it.
	Standing scheduler.Standing
	// State is what it last said.
	State MinerState
	// ConnectedAt is when its session began.
	ConnectedAt time.Time
}

// ModelView is a model that known miners have.
type ModelView struct {
	// Name is the full name.
	Name string
	// Digests are those in use, sorted.
	Digests []aitbc.Hash
	// Miners is how many have it.
	Miners int
	// FirstSeen is when this coordinator first saw it.
	FirstSeen time.Time
}
