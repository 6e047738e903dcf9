package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// The heartbeat interval that a coordinator may ask for, and the one when it asks for none.
const (
	minHeartbeat     = 100 * time.Millisecond
	defaultHeartbeat = 10 * time.Second
	maxHeartbeat     = time.Minute
)

// talk is an open session. What was told is known for its length only.
type talk struct {
	worker    Worker
	stream    stream
	op        attempt.Operator
	heartbeat time.Duration
	progress  bool // the coordinator wants running statements
	claims    *claims
	why       atomic.Pointer[coordinatorv1.MinerExplanation] // nil: not told yet
	demands   *demands
	log       *slog.Logger

	// The sender's own, no lock needed.
	state   *coordinatorv1.MinerState
	starts  map[string]bool
	results map[string]uint64 // the sending that was told, from 1
	texts   map[string]*telling
}

func newTalk(worker Worker, st stream, op attempt.Operator, welcome *coordinatorv1.SessionWelcome, log *slog.Logger) *talk {
	heartbeat := welcome.GetHeartbeatInterval().AsDuration()
	if heartbeat <= 0 {
		heartbeat = defaultHeartbeat
	}
	return &talk{
		worker: worker, stream: st, op: op, log: log,
		heartbeat: min(max(heartbeat, minHeartbeat), maxHeartbeat),
		progress:  welcome.GetWantsProgress(),
		claims:    newClaims(),
		demands:   newDemands(),
		starts:    map[string]bool{},
		results:   map[string]uint64{},
		texts:     map[string]*telling{},
	}
}

// hold talks until either side ends it, and waits for its goroutines.
func (t *talk) hold(ctx context.Context, cancel context.CancelCauseFunc, leaving <-chan struct{}) error {
	defer t.claims.end()
	var group errgroup.Group
	group.Go(func() error {
		t.limitGoodbye(ctx, cancel, leaving)
		return nil
	})
	group.Go(func() error {
		err := t.speak(ctx, leaving)
		if !errors.Is(err, io.EOF) { // then the listener gets the reason
			cancel(err)
		}
		return err
	})
	group.Go(func() error {
		err := t.listen()
		cancel(err)
		return err
	})
	_ = group.Wait() // the first of the two errors is the context's cause
	return context.Cause(ctx)
}

// goodbye is how long the coordinator may take to hear a leaving miner's last state.
const goodbye = time.Second

func (t *talk) limitGoodbye(ctx context.Context, cancel context.CancelCauseFunc, leaving <-chan struct{}) {
	select {
	case <-leaving:
	case <-ctx.Done():
		return
	}
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-timer.C:
		cancel(errLeaving)
	case <-ctx.Done():
	}
}

// leave says what is left to say and waits for the coordinator to end the stream: a stream that is cut
// may take the last words with it.
func (t *talk) leave(ctx context.Context) error {
	if err := t.tell(t.worker.ReportTo(t.op)); err != nil {
		return err
	}
	if err := t.stream.CloseSend(); err != nil {
		return fmt.Errorf("say goodbye: %w", err)
	}
	<-ctx.Done()
	return errLeaving
}

// speak is the one sender: it says what is new, at every change and heartbeat.
func (t *talk) speak(ctx context.Context, leaving <-chan struct{}) error {
	beat := time.NewTicker(t.heartbeat)
	defer beat.Stop()
	lazy := time.NewTicker(lazyInterval)
	defer lazy.Stop()
	changed := t.worker.Watch()
	if err := t.tellState(t.worker.ReportTo(t.op)); err != nil {
		return err
	}
	for news := true; ; {
		if news {
			if err := t.tell(t.worker.ReportTo(t.op)); err != nil {
				return err
			}
		}
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-leaving:
			return t.leave(ctx)
		case <-changed:
			news, changed = true, t.worker.Watch()
		case <-beat.C:
			news, t.state = true, nil
		case claim := <-t.claims.queue:
			news, err = true, t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_JobClaim{JobClaim: claim}})
		case <-t.worker.Spoken(): // for each token: so no report is made for it
			news, err = false, t.tellTexts(false)
		case <-t.demands.wake:
			t.takeDemands()
			news, err = false, t.tellTexts(false)
		case <-lazy.C:
			news, err = false, t.tellTexts(true)
		}
		if err != nil {
			return err
		}
	}
}

// tell says what this session has not said yet; the state last, so that it never seems to have lost
// a lease whose outcome is on its way.
func (t *talk) tell(report attempt.Report) error {
	if err := t.tellStarts(report.Starts); err != nil {
		return err
	}
	if err := t.tellResults(report.Results); err != nil {
		return err
	}
	for _, failure := range report.Failures {
		if err := t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptFailure{AttemptFailure: failure}}); err != nil {
			return err
		}
		t.worker.FailureTold(t.op, failure.GetLeaseId())
	}
	t.forgetTexts(report.State.GetRunningLeaseIds())
	return t.tellState(report)
}

func (t *talk) tellStarts(starts []*coordinatorv1.AttemptStart) error {
	told := make(map[string]bool, len(starts))
	for _, start := range starts {
		told[start.GetLeaseId()] = true
		if t.starts[start.GetLeaseId()] {
			continue
		}
		if err := t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptStart{AttemptStart: start}}); err != nil {
			return err
		}
	}
	t.starts = told
	return nil
}

func (t *talk) tellResults(waiting []attempt.Waiting) error {
	told := make(map[string]uint64, len(waiting))
	for _, w := range waiting {
		told[w.LeaseID] = w.Sending + 1
		if t.results[w.LeaseID] == w.Sending+1 {
			continue
		}
		result, err := t.worker.Result(w.LeaseID)
		if errors.Is(err, spool.ErrNotFound) {
			continue // accepted or revoked just now
		}
		if err != nil {
			// The record is damaged: the other results must not suffer.
			t.log.Error("cannot read a result", obs.KeyLeaseID, w.LeaseID, obs.KeyError, err)
			continue
		}
		if plantedSilence(w.LeaseID) {
			continue
		}
		crash.At("miner/send/before")
		if err := t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptResult{AttemptResult: result}}); err != nil {
			return err
		}
		crash.At("miner/send/after")
		if err := t.plantInResults(w.LeaseID); err != nil {
			return err
		}
	}
	t.results = told
	return nil
}

func (t *talk) tellState(report attempt.Report) error {
	if proto.Equal(t.state, report.State) {
		return nil
	}
	t.state = report.State
	return t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_State{State: report.State}})
}

// send sends a frame; only the sender may. Why a stream ended comes to the listener.
func (t *talk) send(frame *coordinatorv1.ConnectRequest) error {
	if err := t.stream.Send(frame); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// listen is the one receiver.
func (t *talk) listen() error {
	for {
		frame, err := t.stream.Recv()
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if err := t.obey(frame); err != nil {
			t.log.Error("cannot follow the coordinator", obs.KeyError, err)
		}
	}
}

// obey carries out one frame. An error concerns that frame alone.
func (t *talk) obey(frame *coordinatorv1.ConnectResponse) error {
	switch f := frame.GetFrame().(type) {
	case *coordinatorv1.ConnectResponse_Lease:
		crash.At("miner/lease/before")
		t.worker.Offer(t.op, f.Lease)
		crash.At("miner/lease/after")
		return nil
	case *coordinatorv1.ConnectResponse_LeaseRevocation:
		revocation := f.LeaseRevocation
		t.log.Info("lease revoked", obs.KeyLeaseID, revocation.GetLeaseId(), obs.KeyReason, revocation.GetReason(), "settle", revocation.GetSettle())
		return t.worker.Revoke(t.op, revocation.GetLeaseId(), revocation.GetSettle())
	case *coordinatorv1.ConnectResponse_ResultAcceptance:
		return t.worker.Accept(t.op, f.ResultAcceptance.GetLeaseId(), f.ResultAcceptance.GetAcceptance())
	case *coordinatorv1.ConnectResponse_JobClaimAnswer:
		t.claims.answer(f.JobClaimAnswer)
		return nil
	case *coordinatorv1.ConnectResponse_ChunkRequest:
		t.demands.add(f.ChunkRequest)
		return nil
	case *coordinatorv1.ConnectResponse_PullRequest:
		t.worker.Pull(t.op, f.PullRequest.GetModels())
		return nil
	case *coordinatorv1.ConnectResponse_Explanation:
		t.why.Store(f.Explanation)
		return nil
	default: // of a later version of the protocol
		return fmt.Errorf("%w: unexpected frame %T", errProtocol, f)
	}
}
