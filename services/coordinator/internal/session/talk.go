package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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
	miner   aitbc.AccountID
	number  uint64
	link    *link
	end     context.CancelCauseFunc
	log     *slog.Logger
	// explains: the miner wants to know why it gets the jobs it gets; explained is when it was told last.
	explains  bool
	explained time.Time
	// looking: the miner's stake is being looked at; poor, that it was too little at the last look.
	looking atomic.Bool
	poor    bool
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

// run serves the miner's frames until the session ends and gives the reason. Frames about single
// leases are worked on side by side, because each waits for its commit; their order does not
// matter, since each of them says all there is to know about its lease.
func (t *talk) run(ctx context.Context, frames <-chan *coordinatorv1.ConnectRequest) error {
	var work errgroup.Group
	work.SetLimit(t.service.config.InFlight)
	defer func() { _ = work.Wait() }() // its functions give no errors
	patience := missedBeats * t.service.config.Heartbeat
	silence := time.NewTimer(patience)
	defer silence.Stop()
	stakes := time.NewTicker(t.service.config.StakeInterval)
	defer stakes.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.service.deps.Stopping:
			return errStopping
		case <-silence.C:
			return errSilent
		case <-stakes.C:
			t.lookAtStake(ctx)
		case frame := <-frames:
			if err := t.take(ctx, &work, frame); err != nil {
				return err
			}
			silence.Reset(patience)
		}
	}
}

// take serves one frame. An error ends the session.
func (t *talk) take(ctx context.Context, work *errgroup.Group, frame *coordinatorv1.ConnectRequest) error {
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
	work.Go(func() error {
		// What the miner has said counts even when its stream drops right behind it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.service.config.FrameTimeout)
		defer cancel()
		if err := serve(ctx); err != nil {
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
