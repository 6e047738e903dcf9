package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// Watches follows jobs. It is safe for concurrent use.
type Watches interface {
	// Watch follows a job from where the cursor is; key is whose watcher it is. The caller closes
	// it. Errors: JOB_NOT_FOUND, RATE_LIMITED.
	Watch(ctx context.Context, id aitbc.JobID, key string, after stream.Cursor) (*stream.Watcher, error)
}

var _ Watches = (*dispatch.Dispatcher)(nil)

const (
	// watcherPatience is how long a watcher may leave unread what it is sent. Then it is cut off; it
	// may come back, and nothing is lost.
	watcherPatience = 30 * time.Second
	// comeBackAfter is when a watcher should come back to a coordinator that starts again.
	comeBackAfter = time.Second
)

// WatchJob implements JobService.
func (s *jobServer) WatchJob(r *coordinatorv1.WatchJobRequest, st coordinatorv1.JobService_WatchJobServer) error {
	ctx, cancel := context.WithCancelCause(st.Context())
	defer cancel(nil)
	who, err := caller(ctx)
	if err != nil {
		return err
	}
	after, err := stream.ParseCursor(r.GetAfterEventId())
	if err != nil {
		return err
	}
	j, err := s.own(ctx, who.Account, r.GetJobId())
	if err != nil {
		return err
	}
	w, err := s.deps.Watches.Watch(ctx, j.ID, who.KeyID, after)
	if err != nil {
		return err
	}
	defer w.Close()
	if r.GetCancelOnDisconnect() {
		defer s.cancelAbandoned(st.Context(), who.Account, j.ID)
	}
	out := newSender(st, s.deps.Stopping, cancel)
	s.deps.Senders.Go(out.run)
	for {
		event, err := w.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return out.finish()
		case errors.Is(err, dispatch.ErrElsewhere):
			// The watching goes on elsewhere on the same stream, but not beside what is still being sent.
			if err := out.finish(); err != nil {
				return err
			}
			return err
		case err != nil:
			return err
		}
		if err := out.put(ctx, eventMessage(event)); err != nil {
			return err
		}
	}
}

// cancelTimeout bounds the cancelling of a job whose watcher has gone.
const cancelTimeout = 10 * time.Second

// cancelAbandoned cancels a job whose watcher has gone away by itself: not when it was sent away by a
// coordinator that stops. A job that has ended meanwhile, or has its result, stays as it is.
func (s *jobServer) cancelAbandoned(watcher context.Context, client aitbc.AccountID, id aitbc.JobID) {
	select {
	case <-s.deps.Stopping:
		return
	default:
	}
	if watcher.Err() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(watcher), cancelTimeout)
	defer cancel()
	_, _ = s.deps.Jobs.Cancel(ctx, client, id)
}

// sender sends one watcher's events. Sending blocks for as long as the watcher does not read, and
// only the end of the handler ends that: so it happens in a goroutine of its own, which ends soon
// after the handler at the latest.
type sender struct {
	stream   coordinatorv1.JobService_WatchJobServer
	stopping <-chan struct{}
	end      context.CancelCauseFunc
	// queue is unbuffered, so that the watcher's position is what it has taken; finish closes it.
	queue chan *coordinatorv1.WatchJobResponse
	ended chan struct{} // closed by run after err is set
	err   error
}

func newSender(st coordinatorv1.JobService_WatchJobServer, stopping <-chan struct{}, end context.CancelCauseFunc) *sender {
	return &sender{
		stream: st, stopping: stopping, end: end,
		queue: make(chan *coordinatorv1.WatchJobResponse), ended: make(chan struct{}),
	}
}

// run sends until the queue is closed, the call ends or the server stops.
func (s *sender) run() {
	defer close(s.ended)
	for {
		select {
		case message, more := <-s.queue:
			if !more {
				return
			}
			if s.err = s.stream.Send(message); s.err != nil {
				s.end(s.err)
				return
			}
		case <-s.stopping:
			s.end(errStopping())
			return
		case <-s.stream.Context().Done():
			return
		}
	}
}

// put hands a message over as soon as the one before is sent.
func (s *sender) put(ctx context.Context, message *coordinatorv1.WatchJobResponse) error {
	patience := time.NewTimer(watcherPatience)
	defer patience.Stop()
	select {
	case s.queue <- message:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("send an event: %w", context.Cause(ctx))
	case <-s.stopping:
		return errStopping()
	case <-patience.C:
		return errUnread()
	}
}

// finish waits until all is sent.
func (s *sender) finish() error {
	close(s.queue)
	patience := time.NewTimer(watcherPatience)
	defer patience.Stop()
	select {
	case <-s.ended:
		return s.err
	case <-s.stopping:
		return errStopping()
	case <-patience.C:
		return errUnread()
	}
}

func errStopping() error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "this coordinator is stopping: come back with the last event's id").
		WithRetryAfter(comeBackAfter)
}

func errUnread() error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED,
		"nothing was read for %s: come back with the last event's id", watcherPatience)
}

// eventMessage is an event as its watcher sees it.
func eventMessage(e stream.Event) *coordinatorv1.WatchJobResponse {
	message := &coordinatorv1.WatchJobResponse{EventId: e.Cursor.String()}
	switch e.Kind {
	case stream.State:
		message.Event = &coordinatorv1.WatchJobResponse_State{State: jobMessage(e.Job, "")}
	case stream.Text:
		message.Event = &coordinatorv1.WatchJobResponse_Text{Text: &coordinatorv1.JobText{
			Attempt: int32(e.Attempt), Offset: int32(e.Offset), Text: e.Text,
		}}
	case stream.Reset:
		message.Event = &coordinatorv1.WatchJobResponse_AttemptReset{AttemptReset: &coordinatorv1.JobAttemptReset{Attempt: int32(e.Attempt)}}
	case stream.Done:
		message.Event = &coordinatorv1.WatchJobResponse_Done{Done: jobMessage(e.Job, e.Text)}
	}
	return message
}
