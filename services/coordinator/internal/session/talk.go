package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// talk is an open session.
type talk struct {
	service *Service
	id      string // for logs
	// registration is what dispatch is told of the miner.
	registration dispatch.Registration
	miner        aitbc.AccountID
	number       uint64
	link         *link
	end          context.CancelCauseFunc
	log          *slog.Logger
	// explains: the miner wants to know why it gets the jobs it gets; explained is when it was told last.
	explains  bool
	explained time.Time
	// looked is when the miner's stake was looked at last; looking: it is being looked at; poor: it was too
	// little at the last look.
	looked  time.Time
	looking atomic.Bool
	poor    bool

	// serving is held while a frame is taken; work is what frames have set going.
	serving  sync.Mutex
	finished bool
	work     errgroup.Group
}

// explainEvery is how often a miner is told at most.
const explainEvery = 5 * time.Second

// explain tells the miner why it gets the jobs it gets.
func (t *talk) explain(now time.Time) {
	if !t.explains || now.Sub(t.explained) < explainEvery {
		return
	}
	if x, err := t.service.deps.Dispatcher.ExplainMiner(t.miner); err == nil {
		t.explained = now
		t.link.explain(api.MinerExplanationMessage(x))
	}
}

// begin registers the miner and tells it that it is welcome. It is registered before it hears so: else of two
// sessions that a miner opens one after the other the earlier could come to replace the later.
func (t *talk) begin(ctx context.Context, st stream) error {
	s := t.service
	t.number = s.deps.Dispatcher.MinerConnected(t.registration)
	t.log.InfoContext(ctx, "miner connected", "stake", t.registration.Stake.String())
	welcome := &coordinatorv1.SessionWelcome{SessionId: t.id, HeartbeatInterval: durationpb.New(s.config.Heartbeat), WantsProgress: s.deps.Ledger.PaysRunning()}
	if err := st.Send(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Welcome{Welcome: welcome}}); err != nil {
		return fmt.Errorf("welcome miner %s: %w", t.miner, err)
	}
	t.link.open()
	s.pumps.Go(func() { t.end(guard(func() error { return t.listen(ctx, st) })) })
	return nil
}

// await waits until the session ends and gives the reason.
func (t *talk) await(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.service.deps.Stopping:
		return errStopping
	}
}

// leave ends the session for the reason why, and gives what the miner is told.
func (t *talk) leave(ctx context.Context, why error) error {
	t.finish()
	t.end(why)
	if gone := t.service.deps.Dispatcher.MinerGone(context.WithoutCancel(ctx), t.miner, t.number); gone != nil {
		why = errors.Join(why, fmt.Errorf("end the session of miner %s: %w", t.miner, gone))
	}
	// A sender that is blocked by the miner ends when this handler has; any other is awaited.
	unblock := time.NewTimer(time.Second)
	defer unblock.Stop()
	select {
	case <-t.link.close():
	case <-unblock.C:
	}
	t.log.InfoContext(ctx, "miner disconnected", "why", why.Error())
	if errors.Is(why, errLeft) {
		return nil
	}
	return why
}

// listen serves the miner's frames until the session ends, and gives the reason. Frames about single leases are
// worked on side by side, because each waits for its commit; their order does not matter, since each of them says
// all there is to know about its lease.
func (t *talk) listen(ctx context.Context, st stream) error {
	patience := missedBeats * t.service.config.Heartbeat
	silence := time.AfterFunc(patience, func() { t.end(errSilent) })
	defer silence.Stop()
	for {
		frame, err := st.Recv()
		silence.Stop() // what comes of the frame may take longer
		if err != nil {
			return left(err)
		}
		if err := t.serve(ctx, frame); err != nil {
			return err
		}
		silence.Reset(patience)
	}
}

// serve takes a frame, unless the session has ended.
func (t *talk) serve(ctx context.Context, frame *coordinatorv1.ConnectRequest) error {
	t.serving.Lock()
	defer t.serving.Unlock()
	if t.finished {
		return errLeft
	}
	if now := time.Now(); now.Sub(t.looked) >= t.service.config.StakeInterval {
		t.looked = now
		t.lookAtStake(ctx)
	}
	return t.take(ctx, frame)
}

// finish waits for what the miner's frames have set going; no more are taken.
func (t *talk) finish() {
	t.serving.Lock()
	t.finished = true
	t.serving.Unlock()
	_ = t.work.Wait() // its functions give no errors
}

// send gives what sends a frame to the miner.
func (t *talk) send(st stream) func(*coordinatorv1.ConnectResponse) error {
	return func(frame *coordinatorv1.ConnectResponse) error {
		if err := st.Send(frame); err != nil {
			return left(err)
		}
		return nil
	}
}

// take serves one frame. An error ends the session.
func (t *talk) take(ctx context.Context, frame *coordinatorv1.ConnectRequest) error {
	var serve func(context.Context) error
	switch f := frame.GetFrame().(type) {
	case *coordinatorv1.ConnectRequest_State:
		state, err := stateOf(f.State)
		if err != nil {
			return err
		}
		err = t.service.deps.Dispatcher.MinerState(ctx, t.miner, t.number, state)
		if errors.Is(err, dispatch.ErrReplaced) {
			return errReplaced
		}
		t.explain(time.Now())
		return err
	case *coordinatorv1.ConnectRequest_AttemptChunk:
		return t.chunk(f.AttemptChunk) // at once: pieces follow each other, and there is nothing to wait for
	case *coordinatorv1.ConnectRequest_AttemptProgress:
		progress, err := progressOf(f.AttemptProgress)
		if err != nil {
			return err
		}
		if !t.service.deps.Ledger.PaysRunning() {
			return nil
		}
		// At once too: it is about the pieces before it.
		return t.refused(ctx, f.AttemptProgress.GetLeaseId(), "progress", t.service.deps.Dispatcher.Progress(ctx, t.miner, progress))
	case *coordinatorv1.ConnectRequest_AttemptStart:
		serve = func(ctx context.Context) error { return t.start(ctx, f.AttemptStart) }
	case *coordinatorv1.ConnectRequest_AttemptResult:
		serve = func(ctx context.Context) error { return t.result(ctx, f.AttemptResult) }
	case *coordinatorv1.ConnectRequest_AttemptFailure:
		serve = func(ctx context.Context) error { return t.failure(ctx, f.AttemptFailure) }
	case *coordinatorv1.ConnectRequest_JobClaim:
		serve = func(ctx context.Context) error { return t.claim(ctx, f.JobClaim) }
	default:
		return invalid("frame", "is not one that may come now")
	}
	t.work.Go(func() error {
		// What the miner has said counts even when its stream drops right behind it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.service.config.FrameTimeout)
		defer cancel()
		if err := guard(func() error { return serve(ctx) }); err != nil {
			t.end(err)
		}
		return nil
	})
	return nil
}

func leaseOf(text string) (aitbc.JobID, uint32, error) {
	id, attempt, err := aitbc.ParseLeaseID(text)
	if err != nil {
		return id, 0, invalid("lease_id", "must be the id of a lease: %s", err)
	}
	return id, attempt, nil
}

// refused answers a frame about a lease that dispatch refused; what is no refusal is given back.
func (t *talk) refused(ctx context.Context, leaseID, doing string, err error) error {
	var refusal *job.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &refusal) {
		return fmt.Errorf("%s of lease %s: %w", doing, leaseID, err)
	}
	t.log.WarnContext(ctx, "lease refused", obs.KeyLeaseID, leaseID, "doing", doing, obs.KeyReason, word(refusal.Why), obs.KeyError, refusal)
	t.link.Revoke(leaseID, refusal.Why, false)
	return nil
}

func (t *talk) start(ctx context.Context, m *coordinatorv1.AttemptStart) error {
	id, attempt, err := leaseOf(m.GetLeaseId())
	if err != nil {
		return err
	}
	_, err = t.service.deps.Dispatcher.StartAttempt(ctx, t.miner, id, attempt)
	return t.refused(ctx, m.GetLeaseId(), "start", err)
}

// maxChunk is the contract's limit of a piece of text, in bytes.
const maxChunk = 64 << 10

func (t *talk) chunk(m *coordinatorv1.AttemptChunk) error {
	id, attempt, err := leaseOf(m.GetLeaseId())
	if err != nil {
		return err
	}
	if len(m.GetText()) > maxChunk || m.GetOffset() < 0 {
		return invalid("attempt_chunk", "has %d bytes at offset %d, want at most %d bytes and no negative offset", len(m.GetText()), m.GetOffset(), maxChunk)
	}
	t.service.deps.Dispatcher.Chunk(t.miner, id, attempt, m.GetOffset(), m.GetText())
	return nil
}

func progressOf(m *coordinatorv1.AttemptProgress) (dispatch.Progress, error) {
	id, attempt, err := leaseOf(m.GetLeaseId())
	return dispatch.Progress{
		JobID: id, Attempt: attempt, TextBytes: m.GetTextBytes(), Ending: m.GetEnding(),
		Statement: m.GetStatementBody(), Signature: m.GetStatementSignature(),
	}, err
}

func (t *talk) failure(ctx context.Context, m *coordinatorv1.AttemptFailure) error {
	id, attempt, err := leaseOf(m.GetLeaseId())
	if err != nil {
		return err
	}
	_, err = t.service.deps.Dispatcher.Fail(ctx, t.miner, id, attempt, job.Failure{Reason: reasonOf(m.GetReason()), Message: m.GetMessage()})
	if errors.Is(err, job.ErrLeaseNotHeld) {
		return nil // it has ended on both sides
	}
	return t.refused(ctx, m.GetLeaseId(), "failure", err)
}

func (t *talk) result(ctx context.Context, m *coordinatorv1.AttemptResult) error {
	id, attempt, err := leaseOf(m.GetLeaseId())
	if err != nil {
		return err
	}
	j, err := t.service.deps.Dispatcher.Complete(ctx, t.miner, dispatch.Result{
		JobID:          id,
		Attempt:        attempt,
		Result:         m.GetResult(),
		Statement:      m.GetStatementBody(),
		Signature:      m.GetStatementSignature(),
		FinishReason:   finishReason(m.GetMetrics()),
		GPUUtilization: utilization(m.GetMetrics()),
	})
	if err != nil {
		return t.refused(ctx, m.GetLeaseId(), "result", err)
	}
	crash.At("coordinator/acceptance/before")
	t.link.accept(m.GetLeaseId(), j.Completion)
	crash.At("coordinator/acceptance/after")
	return nil
}

func (t *talk) claim(ctx context.Context, m *coordinatorv1.JobClaim) error {
	answer := &coordinatorv1.JobClaimAnswer{JobId: m.GetJobId()}
	defer func() { t.link.answer(answer) }()
	id, err := aitbc.ParseJobID(m.GetJobId())
	if err != nil {
		answer.Reason, answer.Message = word(coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND), job.ErrNotFound.Message
		return nil
	}
	j, err := t.service.deps.Dispatcher.Claim(ctx, t.miner, dispatch.Claim{JobID: id, Type: m.GetType(), Prompt: m.GetPrompt(), Model: m.GetModel()})
	var refusal *job.Error
	switch {
	case err == nil:
		answer.LeaseId = j.Lease().ID()
	case errors.As(err, &refusal):
		answer.Reason, answer.Message = word(refusal.Why), refusal.Message
	default:
		answer.Reason, answer.Message = word(coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL), "the coordinator failed; try again"
		return fmt.Errorf("claim of job %s: %w", id, err)
	}
	return nil
}
