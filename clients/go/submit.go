package aitbc

import (
	"context"
	"fmt"
	"iter"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const (
	// A short job is seen soon after it ends, a long one costs few calls.
	pollFirst = 25 * time.Millisecond
	pollMost  = time.Second
)

// SubmitRequest asks for one answer. What is asked is Prompt, Chat or Input: which of them is set says
// the job's type.
type SubmitRequest struct {
	// Prompt is 1 to 262,144 bytes of UTF-8.
	Prompt string
	// Chat is a conversation to go on with; nil: this is no chat. [ParseAnswer] reads its result,
	// [ChatStream] the answer as it is made.
	Chat *Chat
	// Input are texts to make vectors of, 1 to 256; nil: this is no embedding. [ParseVectors] reads its
	// result.
	Input []string
	// Model is the model's name, such as "llama3.2:latest"; without a tag, ":latest".
	Model string
	// Options are sampling options; zero: the engine's or the model's own.
	Options Options
	// MaxPrice is the most the job may cost; this much is held in escrow. An attempt runs no longer
	// than it pays for, and it must pay for 0.1 s. Zero: price per second times execution limit.
	MaxPrice Amount
	// Timeouts bound the job's life.
	Timeouts Timeouts
	// ModelDigest pins the model; zero: any.
	ModelDigest Hash
	// Priority is which of the jobs that wait for the model go first. [PriorityHigh] needs an API key
	// that allows it.
	Priority Priority
	// RequestID makes it safe to submit again: the same id within 24 h gives the first answer.
	// Empty: made at random for each call of Submit, so that its own retries are safe.
	RequestID string
	// Order is the account's own signed order for this request; nil: made by [WithOrderKey], without
	// which the account's allowance to the operator stands for it.
	Order *SignedOrder
	// OrderLife is, in an order that is signed here, how long it may be used: until then it can be
	// submitted, and its escrow made. At most ten minutes; zero: five.
	OrderLife time.Duration
	// SettleWithin is, in an order that is signed here, how long after the total timeout its escrow
	// returns by itself. Zero: an hour, the least that a public ledger allows.
	SettleWithin time.Duration
}

// Timeouts bound a job's life. Zero: the coordinator's defaults.
type Timeouts struct {
	// Queue is how long the job may wait for a miner. Default 60 s.
	Queue time.Duration
	// Execution is how long one attempt may run. Default 300 s. Set, it is also what the client
	// agrees to pay for: reaching it then ends the job.
	Execution time.Duration
	// Total is how long all attempts and waits may take together. Default 360 s.
	Total time.Duration
}

// Submission is a job that was accepted.
type Submission struct {
	// JobID is the job.
	JobID JobID `json:"job_id"`
	// Status is StatusPending; of a repeated request, the job's status now.
	Status Status `json:"status"`
	// SubmittedTime is when the job was durable.
	SubmittedTime time.Time `json:"submitted_at"`
	// Available is what another job could cost at most beside those under way; nil: not known, or
	// nothing costs anything.
	Available *Amount `json:"available,omitempty"`
}

// Submit hands a job in and returns as soon as it is durable. Reasons: INVALID_FIELD,
// INSUFFICIENT_FUNDS, MODEL_NOT_FOUND, IDEMPOTENCY_MISMATCH, MODEL_NOT_ALLOWED and SPEND_LIMIT (of the
// API key), RATE_LIMITED, OVERLOADED, LEDGER_UNAVAILABLE.
func (c *Client) Submit(ctx context.Context, req SubmitRequest) (*Submission, error) {
	if key := c.caller.cfg.orderKey; key != nil && req.Order == nil {
		var err error
		if req, err = c.SignOrder(ctx, req, key); err != nil {
			return nil, err
		}
	}
	answer, err := c.jobs.SubmitJob(ctx, req.message())
	if err != nil {
		return nil, err
	}
	var f fieldReader
	submission := &Submission{
		JobID:         f.jobID("job_id", answer.GetJobId()),
		Status:        Status(answer.GetStatus()),
		SubmittedTime: instant(answer.GetSubmittedAt()),
	}
	if answer.Available != nil {
		available := f.amount("available", answer.GetAvailable())
		submission.Available = &available
	}
	return submission, f.err()
}

// Run submits a job and waits for its end. A job that fails or is cancelled gives a [*JobError]
// and the job. Once the job is submitted, the job is given with every error, at least its ID: it
// goes on when the wait ends early.
func (c *Client) Run(ctx context.Context, req SubmitRequest) (*Job, error) {
	submitted, err := c.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	job, err := c.Wait(ctx, submitted.JobID)
	if err != nil {
		job = &Job{ID: submitted.JobID, Status: submitted.Status, Model: req.Model, SubmittedTime: submitted.SubmittedTime}
		return job, fmt.Errorf("wait for %s, which goes on: %w", submitted.JobID, err)
	}
	return job, job.Err()
}

// Err gives a [*JobError] when the job failed or was cancelled.
func (j *Job) Err() error {
	switch {
	case j.Failure != nil:
		return j.Failure
	case j.Status == StatusFailed || j.Status == StatusCancelled:
		return &JobError{JobID: j.ID, Status: j.Status, Message: "the coordinator gives no reason"}
	}
	return nil
}

// Get reads a job.
func (c *Client) Get(ctx context.Context, id JobID) (*Job, error) {
	answer, err := c.jobs.GetJob(ctx, &coordinatorv1.GetJobRequest{JobId: id.String()})
	if err != nil {
		return nil, err
	}
	return jobOf(answer.GetJob())
}

// Wait gives the job at its end, however it ended; errors are about the waiting only.
func (c *Client) Wait(ctx context.Context, id JobID) (*Job, error) {
	var last *Job
	for job, err := range c.Watch(ctx, id) {
		if err != nil {
			return nil, err
		}
		last = job
	}
	return last, nil
}

// Watch gives the job now and whenever its status or phase was seen to change, until its end or an
// error, which is the last thing given. It asks again and again, at growing intervals up to 1 s.
func (c *Client) Watch(ctx context.Context, id JobID) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		var seen *Job
		for pause := pollFirst; ; pause = min(pause*3/2, pollMost) {
			job, err := c.Get(ctx, id)
			if err != nil {
				yield(nil, err)
				return
			}
			if seen == nil || job.Status != seen.Status || job.Phase != seen.Phase {
				if !yield(job, nil) {
					return
				}
				seen = job
			}
			if job.Status.Terminal() {
				return
			}
			if sleep(ctx, pause) != nil {
				yield(nil, contextError(ctx, "wait for "+id.String()))
				return
			}
		}
	}
}

// Cancel ends a job whose result has not arrived; the answer shows it on the way to
// StatusCancelled. Reasons: JOB_NOT_FOUND, WRONG_STATE.
func (c *Client) Cancel(ctx context.Context, id JobID) (*Job, error) {
	answer, err := c.jobs.CancelJob(ctx, &coordinatorv1.CancelJobRequest{JobId: id.String()})
	if err != nil {
		return nil, err
	}
	return jobOf(answer.GetJob())
}

// JobFilter selects jobs.
type JobFilter struct {
	// Status selects jobs with this status; empty: all.
	Status Status
	// PageSize is how many are fetched at once, at most 1000. Zero: the coordinator's default.
	PageSize int
}

// Jobs gives the account's jobs, newest first, without their results. It fetches a page at a time,
// as far as it is read. An error is the last thing given.
func (c *Client) Jobs(ctx context.Context, filter JobFilter) iter.Seq2[*Job, error] {
	return pages(func(token string) ([]*coordinatorv1.Job, string, error) {
		answer, err := c.jobs.ListJobs(ctx, &coordinatorv1.ListJobsRequest{
			Status: string(filter.Status), PageSize: int32(min(max(filter.PageSize, 0), 1000)), PageToken: token,
		})
		return answer.GetJobs(), answer.GetNextPageToken(), err
	}, jobOf)
}

// pages walks a paginated list.
func pages[M, T any](fetch func(token string) ([]M, string, error), read func(M) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for token := ""; ; {
			page, next, err := fetch(token)
			if err != nil {
				yield(none, err)
				return
			}
			for _, message := range page {
				item, err := read(message)
				if !yield(item, err) || err != nil {
					return
				}
			}
			if next == "" {
				return
			}
			if next == token {
				yield(none, answerError("page token %q leads to itself", token))
				return
			}
			token = next
		}
	}
}

// Type gives the type of the job that is asked for.
func (r SubmitRequest) Type() string {
	switch {
	case r.Chat != nil:
		return TypeChat
	case r.Input != nil:
		return TypeEmbedding
	default:
		return TypeInference
	}
}

// Content gives what is asked, as [Payload] has it. Errors: [ErrMalformed].
func (r SubmitRequest) Content() (string, error) {
	switch r.Type() {
	case TypeChat:
		return r.Chat.Content()
	case TypeEmbedding:
		return EmbeddingContent(r.Input)
	default:
		return r.Prompt, nil
	}
}

func (r SubmitRequest) message() *coordinatorv1.SubmitJobRequest {
	m := &coordinatorv1.SubmitJobRequest{
		Type:      r.Type(),
		Prompt:    r.Prompt,
		Input:     r.Input,
		Model:     r.Model,
		Options:   r.Options.message(),
		Timeouts:  r.Timeouts.message(),
		RequestId: orRandom(r.RequestID),
		MaxPrice:  coinText(r.MaxPrice),
		Order:     r.Order.message(),
	}
	if r.Chat != nil {
		m.Messages, m.Tools = r.Chat.message()
	}
	if r.Priority != PriorityNormal {
		m.Priority = r.Priority.String()
	}
	if !r.ModelDigest.IsZero() {
		m.ModelDigest = r.ModelDigest.String()
	}
	return m
}

func (c Chat) message() (messages []*coordinatorv1.ChatMessage, tools []*coordinatorv1.ChatTool) {
	for _, m := range c.Messages {
		message := &coordinatorv1.ChatMessage{
			Role: m.Role, Content: m.Content, Thinking: m.Thinking, Images: m.Images,
			ToolName: m.ToolName, ToolCallId: m.ToolCallID,
		}
		for _, call := range m.ToolCalls {
			message.ToolCalls = append(message.ToolCalls,
				&coordinatorv1.ChatToolCall{Id: call.ID, Name: call.Name, Arguments: call.Arguments})
		}
		messages = append(messages, message)
	}
	for _, t := range c.Tools {
		tools = append(tools, &coordinatorv1.ChatTool{Name: t.Name, Description: t.Description, Parameters: t.Parameters})
	}
	return messages, tools
}

func (o Options) message() *coordinatorv1.JobOptions {
	m := &coordinatorv1.JobOptions{
		Temperature: o.Temperature, NumPredict: o.NumPredict, TopP: o.TopP, TopK: o.TopK,
		MinP: o.MinP, RepeatPenalty: o.RepeatPenalty, Seed: o.Seed, Stop: o.Stop,
		Format: o.Format,
	}
	if len(m.GetStop()) == 0 && m.GetFormat() == "" && m.Temperature == nil && m.NumPredict == nil && m.TopP == nil && m.TopK == nil &&
		m.MinP == nil && m.RepeatPenalty == nil && m.Seed == nil {
		return nil
	}
	return m
}

func (t Timeouts) message() *coordinatorv1.JobTimeouts {
	if t == (Timeouts{}) {
		return nil
	}
	return &coordinatorv1.JobTimeouts{Queue: spanMessage(t.Queue), Execution: spanMessage(t.Execution), Total: spanMessage(t.Total)}
}
