package aitbc

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/status"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// EventKind says what an [Event] is.
type EventKind string

// The kinds of events.
const (
	// EventState: the job has moved; Job is set, without its result.
	EventState EventKind = "state"
	// EventText: the answer goes on; Attempt, Offset and Text are set.
	EventText EventKind = "text"
	// EventReset: all text before is void, and Attempt's begins at offset 0. It comes when an attempt
	// failed after it had said something.
	EventReset EventKind = "attempt_reset"
	// EventDone: the job has ended; Job is set, with its result. It is the last event.
	EventDone EventKind = "done"
)

// Event is something that happened to a job that is watched.
type Event struct {
	// ID stands for all text up to and with this event; Events goes on behind it.
	ID string `json:"event_id"`
	// Kind says which of the others are set.
	Kind EventKind `json:"event"`
	// Job is the job now.
	Job *Job `json:"job,omitempty"`
	// Attempt is whose text it is, from 1.
	Attempt int `json:"attempt,omitempty"`
	// Offset is how many bytes of the answer come before Text.
	Offset int64 `json:"offset,omitempty"`
	// Text is a piece of the answer. Until the result is there, it is the miner's word only.
	Text string `json:"text,omitempty"`
}

// Token is a piece of an answer, as large as it happened to come.
type Token struct {
	// Text goes behind the text before.
	Text string
	// Attempt is whose text it is, from 1.
	Attempt int
	// Reset says that all text before is void; there is no Text then.
	Reset bool
}

const (
	// resumeFor is how long a stream that was cut is tried to be had again: a coordinator that is
	// started anew takes some seconds.
	resumeFor = time.Minute
	// resumeMost is the longest pause between two of these tries.
	resumeMost = 2 * time.Second
)

// WatchOption changes how a job is watched.
type WatchOption func(*coordinatorv1.WatchJobRequest)

// CancelOnDisconnect has the coordinator cancel the job when its watcher goes away before the end: its context
// ends, it wants no more events, its program or its connection dies. What was said until then is paid. After a
// connection that broke, the events go on and show how the job ended.
func CancelOnDisconnect() WatchOption {
	return func(r *coordinatorv1.WatchJobRequest) { r.CancelOnDisconnect = true }
}

// Events gives what happens to a job, from its start or behind the event with this id, until its
// end. A stream that is cut is resumed for up to a minute, unless the [RetryPolicy] has no retries;
// the text is given byte for byte, without gaps or repetitions. An error is the last thing given.
func (c *Client) Events(ctx context.Context, id JobID, after string, options ...WatchOption) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		w := watching{client: c, id: id, after: after, options: options}
		for w.try = 1; ; w.try++ {
			failure := w.once(ctx, yield)
			if failure == nil {
				return
			}
			delay, again := w.pause(failure, time.Now())
			if !again || ctx.Err() != nil || sleep(ctx, delay) != nil {
				failure.Tries = w.try
				yield(nil, failure)
				return
			}
		}
	}
}

// Stream submits a job and gives what happens to it, like Events. The first event has the job, and
// with it the id; the job goes on when the stream ends early, unless [CancelOnDisconnect] is given and a
// second event has come: until then there is nobody to go away.
func (c *Client) Stream(ctx context.Context, req SubmitRequest, options ...WatchOption) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		submitted, err := c.Submit(ctx, req)
		if err != nil {
			yield(nil, err)
			return
		}
		job := &Job{ID: submitted.JobID, Status: submitted.Status, Model: req.Model, SubmittedTime: submitted.SubmittedTime}
		if !yield(&Event{Kind: EventState, Job: job}, nil) {
			return
		}
		for event, err := range c.Events(ctx, submitted.JobID, "", options...) {
			if !yield(event, err) {
				return
			}
		}
	}
}

// Tokens gives a job's answer as it is made. An error is the last thing given: a [*JobError] when
// the job failed or was cancelled.
func (c *Client) Tokens(ctx context.Context, id JobID, options ...WatchOption) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		for event, err := range c.Events(ctx, id, "", options...) {
			token := Token{}
			switch {
			case err != nil:
			case event.Kind == EventText:
				token = Token{Text: event.Text, Attempt: event.Attempt}
			case event.Kind == EventReset:
				token = Token{Attempt: event.Attempt, Reset: true}
			case event.Kind == EventDone && event.Job.Err() != nil:
				err = event.Job.Err()
			default:
				continue
			}
			if !yield(token, err) || err != nil {
				return
			}
		}
	}
}

// watching is one call of Events.
type watching struct {
	client *Client
	id     JobID
	after  string

	options []WatchOption
	// try counts the tries since the last event; cut is when the stream with that one broke, zero
	// before the first event.
	try int
	cut time.Time
}

// once gives events until the last one or until nobody wants more; else why they have stopped.
func (w *watching) once(ctx context.Context, yield func(*Event, error) bool) *Error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := &coordinatorv1.WatchJobRequest{JobId: w.id.String(), AfterEventId: w.after}
	for _, option := range w.options {
		option(request)
	}
	stream, err := w.client.jobs.WatchJob(ctx, request)
	received := false
	for err == nil {
		var message *coordinatorv1.WatchJobResponse
		if message, err = stream.Recv(); err != nil {
			break
		}
		event, malformed := eventOf(message)
		if malformed != nil {
			yield(nil, malformed)
			return nil
		}
		w.after, w.try, received = event.ID, 1, true
		if !yield(event, nil) || event.Kind == EventDone {
			return nil
		}
	}
	if errors.Is(err, io.EOF) { // nothing follows: the event that we named was the last
		return nil
	}
	if received {
		w.cut = time.Now()
	}
	return w.client.caller.failureOf(ctx, err)
}

// pause says how long to wait before the next try, if there is to be one.
func (w *watching) pause(failure *Error, now time.Time) (time.Duration, bool) {
	c := w.client.caller
	if w.cut.IsZero() {
		return c.cfg.retry.pause(w.try, failure, c.jitter())
	}
	if c.cfg.retry.MaxRetries == 0 || !failure.resumable() || now.Sub(w.cut) > resumeFor {
		return 0, false
	}
	return max(min(c.cfg.retry.delay(w.try, c.jitter()), resumeMost), failure.RetryAfter), true
}

// resumable reports whether a stream may go on after this: it was cut, not refused.
func (e *Error) resumable() bool { return e.retryable() || e.Reason == reasonCallAbandoned }

// failureOf makes an Error of what a stream ended with.
func (c *caller) failureOf(ctx context.Context, err error) *Error {
	return errorOf(status.Convert(err), c.target, ctx.Err())
}

// eventOf reads an event of the contract.
func eventOf(m *coordinatorv1.WatchJobResponse) (*Event, error) {
	event := &Event{ID: m.GetEventId()}
	var err error
	switch e := m.GetEvent().(type) {
	case *coordinatorv1.WatchJobResponse_State:
		event.Kind = EventState
		event.Job, err = jobOf(e.State)
	case *coordinatorv1.WatchJobResponse_Text:
		event.Kind = EventText
		event.Attempt, event.Offset, event.Text = int(e.Text.GetAttempt()), int64(e.Text.GetOffset()), e.Text.GetText()
	case *coordinatorv1.WatchJobResponse_AttemptReset:
		event.Kind, event.Attempt = EventReset, int(e.AttemptReset.GetAttempt())
	case *coordinatorv1.WatchJobResponse_Done:
		event.Kind = EventDone
		event.Job, err = jobOf(e.Done)
	default:
		err = answerError("an event of an unknown kind")
	}
	return event, err
}
