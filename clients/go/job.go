package aitbc

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Status is where a job is in its life.
type Status string

// The five statuses.
const (
	// StatusPending waits for its escrow or for a miner.
	StatusPending Status = "pending"
	// StatusRunning is at a miner, or its result is being settled.
	StatusRunning Status = "running"
	// StatusCompleted has its receipt on the ledger.
	StatusCompleted Status = "completed"
	// StatusFailed has its refund on the ledger.
	StatusFailed Status = "failed"
	// StatusCancelled was cancelled, and has its refund on the ledger.
	StatusCancelled Status = "cancelled"
)

// Terminal reports whether the job's life is over.
func (s Status) Terminal() bool {
	return s == StatusCompleted || s == StatusFailed || s == StatusCancelled
}

// Job is one inference, from its escrow to its receipt. Its JSON is the contract's.
type Job struct {
	// ID identifies the job.
	ID JobID `json:"job_id"`
	// Status is where the job is; Phase refines it: escrowing, queued, leased, running, unknown
	// (the miner's connection dropped), verifying, settling, done.
	Status Status `json:"status"`
	Phase  string `json:"phase,omitempty"`
	// Type is what was asked for: [TypeInference], [TypeChat] or [TypeEmbedding].
	Type string `json:"type,omitempty"`
	// Model is the model's name as submitted.
	Model string `json:"model,omitempty"`
	// Result is the answer, byte for byte as the miner signed it. It is there as soon as it is
	// verified and durable, which is before StatusCompleted. Of a chat it is a message as JSON
	// ([ParseAnswer]), of an embedding vectors ([ParseVectors]).
	Result string `json:"result,omitempty"`
	// ReceiptID is set once the receipt is on the ledger.
	ReceiptID string `json:"receipt_id,omitempty"`
	// SubmittedTime is when the job was durable, StartedTime when its current attempt began,
	// CompletedTime when it ended. Zero: not yet.
	SubmittedTime time.Time `json:"submitted_at,omitzero"`
	StartedTime   time.Time `json:"started_at,omitzero"`
	CompletedTime time.Time `json:"completed_at,omitzero"`
	// Cost is what the client paid; zero until the job has ended.
	Cost Amount `json:"cost"`
	// Billed is what the accepted result costs: known as soon as the result is, and what Cost will be.
	Billed Amount `json:"billed,omitzero"`
	// MaxPrice is what is or was in escrow.
	MaxPrice Amount `json:"max_price"`
	// Priority is which of the jobs that wait for the model go first.
	Priority Priority `json:"priority,omitzero"`
	// TxHash is the transaction that holds the escrow.
	TxHash Hash `json:"tx_hash,omitzero"`
	// Attempts is how often the job was handed to a miner.
	Attempts int `json:"attempts"`
	// MinerID is the miner of the current or last attempt.
	MinerID AccountID `json:"miner_id,omitzero"`
	// ModelDigest is the model's manifest digest at that miner.
	ModelDigest Hash `json:"model_digest,omitzero"`
	// Metrics are there once there is a result.
	Metrics *Metrics `json:"metrics,omitempty"`
	// Failure says why the job failed or was cancelled; nil otherwise.
	Failure *JobError `json:"error,omitempty"`
	// Refund is what went back to the client, once the ledger has it.
	Refund *Refund `json:"refund,omitempty"`
	// Queue is its place while it waits for a miner; nil otherwise, and in lists.
	Queue *Queue `json:"queue,omitempty"`
}

// Metrics are a miner's measurements of one attempt.
type Metrics struct {
	// ComputeTime is the evaluation of prompt and answer, neither loading nor waiting.
	ComputeTime time.Duration
	// PromptTokens are the tokens of the prompt; 0: the engine did not say.
	PromptTokens int
	// OutputTokens are the tokens of the answer.
	OutputTokens int
	// FinishReason is why the answer ended: "stop", "length" or "tool_calls"; empty: not known.
	FinishReason string
	// GPUUtilization is the device's mean use, 0 to 1; nil where there is no GPU.
	GPUUtilization *float64
}

// MarshalJSON writes the contract's names and seconds.
func (m Metrics) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ComputeTime    float64  `json:"compute_time"`
		PromptTokens   int      `json:"prompt_tokens"`
		OutputTokens   int      `json:"tokens_generated"`
		FinishReason   string   `json:"finish_reason,omitempty"`
		GPUUtilization *float64 `json:"gpu_utilization,omitempty"`
	}{m.ComputeTime.Seconds(), m.PromptTokens, m.OutputTokens, m.FinishReason, m.GPUUtilization})
}

// Refund is the part of an escrow that went back to the client.
type Refund struct {
	// Amount went back.
	Amount Amount `json:"amount"`
	// TxHash asked for it; zero when the ledger did it by itself at the deadline.
	TxHash Hash `json:"tx_hash,omitzero"`
	// FinalTime is the ledger time from which no receipt can overtake the refund any more.
	FinalTime time.Time `json:"final_at,omitzero"`
}

// JobError says why a job did not complete.
type JobError struct {
	// JobID is the job.
	JobID JobID `json:"-"`
	// Status is StatusFailed or StatusCancelled; StatusRunning until the refund is on the ledger.
	Status Status `json:"-"`
	// Reason says why.
	Reason Reason `json:"reason"`
	// Message is for people.
	Message string `json:"message"`
}

// Error gives job, status, message and reason.
func (e *JobError) Error() string {
	return fmt.Sprintf("%s %s: %s (%s)", e.JobID, e.Status, e.Message, e.Reason)
}

// jobOf reads a job of the contract.
func jobOf(m *coordinatorv1.Job) (*Job, error) {
	var f fieldReader
	job := &Job{
		ID:            f.jobID("job_id", m.GetJobId()),
		Status:        Status(m.GetStatus()),
		Phase:         m.GetPhase(),
		Type:          m.GetType(),
		Model:         m.GetModel(),
		Result:        m.GetResult(),
		ReceiptID:     m.GetReceiptId(),
		SubmittedTime: instant(m.GetSubmittedAt()),
		StartedTime:   instant(m.GetStartedAt()),
		CompletedTime: instant(m.GetCompletedAt()),
		Cost:          f.amount("cost", m.GetCost()),
		Billed:        f.amount("billed", m.GetBilled()),
		MaxPrice:      f.amount("max_price", m.GetMaxPrice()),
		Priority:      f.priority(m.GetPriority()),
		TxHash:        f.hash("tx_hash", m.GetTxHash()),
		Attempts:      int(m.GetAttempts()),
		MinerID:       f.account("miner_id", m.GetMinerId()),
		ModelDigest:   f.hash("model_digest", m.GetModelDigest()),
		Queue:         queueOf(m.GetQueue()),
	}
	if metrics := m.GetMetrics(); metrics != nil {
		job.Metrics = &Metrics{
			ComputeTime:    seconds(metrics.GetComputeTime()),
			PromptTokens:   int(metrics.GetPromptTokens()),
			OutputTokens:   int(metrics.GetTokensGenerated()),
			FinishReason:   metrics.GetFinishReason(),
			GPUUtilization: metrics.GpuUtilization,
		}
	}
	if failure := m.GetError(); failure != nil {
		job.Failure = &JobError{
			JobID: job.ID, Status: job.Status, Reason: Reason(failure.GetReason()), Message: failure.GetMessage(),
		}
	}
	if refund := m.GetRefund(); refund != nil {
		job.Refund = &Refund{
			Amount:    f.amount("refund.amount", refund.GetAmount()),
			TxHash:    f.hash("refund.tx_hash", refund.GetTxHash()),
			FinalTime: instant(refund.GetFinalAt()),
		}
	}
	return job, f.err()
}

// fieldReader reads the typed fields of an answer and keeps the first fault. Empty text is zero.
type fieldReader struct{ failure *Error }

func (f *fieldReader) err() error {
	if f.failure == nil {
		return nil
	}
	return f.failure
}

func read[T any](f *fieldReader, name, text string, parse func(string) (T, error)) T {
	var zero T
	if text == "" {
		return zero
	}
	v, err := parse(text)
	if err != nil && f.failure == nil {
		f.failure = answerError("%s: %v", name, err)
		f.failure.cause = err
	}
	return v
}

func (f *fieldReader) amount(name, s string) Amount     { return read(f, name, s, ParseAmount) }
func (f *fieldReader) hash(name, s string) Hash         { return read(f, name, s, ParseHash) }
func (f *fieldReader) priority(s string) Priority       { return read(f, "priority", s, ParsePriority) }
func (f *fieldReader) account(name, s string) AccountID { return read(f, name, s, ParseAccountID) }

// jobID is never empty.
func (f *fieldReader) jobID(name, s string) JobID {
	id, err := ParseJobID(s)
	if err != nil && f.failure == nil {
		f.failure = answerError("%s: %v", name, err)
		f.failure.cause = err
	}
	return id
}

func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// seconds makes a span of the contract's seconds, exact to the microsecond.
func seconds(s float64) time.Duration {
	return time.Duration(s*1e6+0.5) * time.Microsecond
}
