package session

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// Dispatcher runs jobs; *dispatch.Dispatcher is one, and says what its methods do.
type Dispatcher interface {
	MinerConnected(r dispatch.Registration) uint64
	MinerStake(id aitbc.AccountID, session uint64, stake aitbc.Amount, enough bool)
	MinerState(ctx context.Context, id aitbc.AccountID, session uint64, s dispatch.MinerState) error
	MinerGone(ctx context.Context, id aitbc.AccountID, session uint64) error
	StartAttempt(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID, attempt uint32) (job.Job, error)
	Fail(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID, attempt uint32, why job.Failure) (job.Job, error)
	Chunk(miner aitbc.AccountID, id aitbc.JobID, attempt uint32, offset int64, text string)
	Progress(ctx context.Context, miner aitbc.AccountID, p dispatch.Progress) error
	Complete(ctx context.Context, miner aitbc.AccountID, r dispatch.Result) (job.Job, error)
	ExplainMiner(id aitbc.AccountID) (dispatch.MinerExplanation, error)
	Claim(ctx context.Context, miner aitbc.AccountID, c dispatch.Claim) (job.Job, error)
}

// Ledger knows the registered miners; *account.Reader is one.
type Ledger interface {
	// Miner gives a registered miner's public key and stake; no key: it is the one that the account
	// was made with. Errors: those with the reason
	// MINER_NOT_FOUND or LEDGER_UNAVAILABLE.
	Miner(ctx context.Context, id aitbc.AccountID) (ed25519.PublicKey, aitbc.Amount, error)
	// MinStake gives the stake below which a miner is given no work, without a call.
	MinStake() (aitbc.Amount, error)
	// PaysRunning reports whether the ledger's rules know running statements, without a call.
	PaysRunning() bool
}

// Deps is what a Service needs; all of it is required.
type Deps struct {
	Dispatcher Dispatcher
	Ledger     Ledger
	// ChainID is the ledger's; OperatorKey is the operator's public key.
	ChainID     string
	OperatorKey ed25519.PublicKey
	// Stopping is closed when the server begins to stop: the sessions then end, and their miners
	// go to another replica.
	Stopping <-chan struct{}
	// Log gets a line for each session's begin and end.
	Log *slog.Logger
}

// Service implements SessionService.
type Service struct {
	coordinatorv1.UnimplementedSessionServiceServer
	config Config
	deps   Deps
	door   *door
	// pumps are the goroutines that send and receive: they may be blocked in the stream and end
	// only after their handler has returned.
	pumps sync.WaitGroup
}

type stream = grpc.BidiStreamingServer[coordinatorv1.ConnectRequest, coordinatorv1.ConnectResponse]

// New makes the service.
func New(config Config, deps Deps) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if deps.Dispatcher == nil || deps.Ledger == nil || deps.ChainID == "" || deps.Stopping == nil || deps.Log == nil ||
		len(deps.OperatorKey) != ed25519.PublicKeySize {
		return nil, errors.New("session: dispatcher, ledger, chain id, the operator's key, stopping and log are required")
	}
	return &Service{config: config, deps: deps, door: newDoor(config.Handshakes, config.HandshakesPerPeer)}, nil
}

// Wait returns when all goroutines have ended. Call it after the server has stopped.
func (s *Service) Wait() { s.pumps.Wait() }

// Why a session ends.
var (
	errReplaced = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, Message: "a newer session of this miner has replaced this one"}
	errSlow     = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, Message: "the miner does not read what it is sent"}
	errSilent   = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, Message: "the miner was silent for three heartbeats"}
	errLate     = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, Message: "the miner did not prove its key in time"}
	errStopping = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, Message: "this coordinator is stopping: connect again"}
	errLeft     = errors.New("the miner ended the stream")
)

// Connect implements SessionService.
func (s *Service) Connect(st stream) error {
	leaveDoor, err := s.door.enter(origin(st.Context()))
	if err != nil {
		return err
	}
	defer leaveDoor()
	ctx, cancel := context.WithCancelCause(st.Context())
	defer cancel(nil)
	frames := s.receive(ctx, cancel, st)

	late := time.AfterFunc(s.config.Handshake, func() { cancel(errLate) })
	defer late.Stop()
	registration, hello, err := s.shakeHands(ctx, st, frames)
	if err != nil {
		return err
	}
	leaveDoor()
	if !late.Stop() {
		return errLate
	}
	sessionID := "session_" + strings.ToLower(rand.Text())
	log := s.deps.Log.With(obs.KeyMinerID, registration.ID.String(), obs.KeySessionID, sessionID)
	t := &talk{service: s, id: sessionID, miner: registration.ID, end: cancel, log: log, explains: hello.GetWantsExplanation()}
	return s.hold(ctx, st, frames, registration, t)
}

// hold is the session from the proven key to its end. It counts before the miner hears that it is welcome:
// else of two sessions that a miner opens one after the other the earlier could come to replace the later.
func (s *Service) hold(ctx context.Context, st stream, frames <-chan *coordinatorv1.ConnectRequest, r dispatch.Registration, t *talk) error {
	cancel, log := t.end, t.log
	t.link = newLink(s.config.SendQueue, cancel)
	r.Link = t.link
	t.number = s.deps.Dispatcher.MinerConnected(r)
	log.InfoContext(ctx, "miner connected", "stake", r.Stake.String())
	sent, err := s.converse(ctx, st, frames, t)
	cancel(err)
	if gone := s.deps.Dispatcher.MinerGone(context.WithoutCancel(ctx), r.ID, t.number); gone != nil {
		err = errors.Join(err, fmt.Errorf("end the session of miner %s: %w", r.ID, gone))
	}
	// A sender that is blocked by the miner ends when this handler has; any other is awaited.
	unblock := time.NewTimer(time.Second)
	defer unblock.Stop()
	select {
	case <-sent:
	case <-unblock.C:
	}
	log.InfoContext(ctx, "miner disconnected", "why", err.Error())
	if errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// converse welcomes the miner and talks until either side ends it; the channel is closed when the sender
// has ended.
func (s *Service) converse(ctx context.Context, st stream, frames <-chan *coordinatorv1.ConnectRequest, t *talk) (sent <-chan struct{}, why error) {
	welcome := &coordinatorv1.SessionWelcome{SessionId: t.id, HeartbeatInterval: durationpb.New(s.config.Heartbeat), WantsProgress: s.deps.Ledger.PaysRunning()}
	if err := st.Send(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Welcome{Welcome: welcome}}); err != nil {
		none := make(chan struct{})
		close(none)
		return none, fmt.Errorf("welcome miner %s: %w", t.miner, err)
	}
	sent = s.send(ctx, t.end, st, t.link)
	return sent, t.run(ctx, frames)
}

// receive pumps the miner's frames into a channel until the stream ends.
func (s *Service) receive(ctx context.Context, cancel context.CancelCauseFunc, st stream) <-chan *coordinatorv1.ConnectRequest {
	frames := make(chan *coordinatorv1.ConnectRequest) // unbuffered: a miner is read as fast as it is served
	s.pumps.Go(func() {
		for {
			frame, err := st.Recv()
			if err != nil {
				cancel(fmt.Errorf("%w: %w", errLeft, err))
				return
			}
			select {
			case frames <- frame:
			case <-ctx.Done():
				return
			}
		}
	})
	return frames
}

// send pumps the link's frames into the stream; the channel is closed when it has ended.
func (s *Service) send(ctx context.Context, cancel context.CancelCauseFunc, st stream, l *link) <-chan struct{} {
	ended := make(chan struct{})
	s.pumps.Go(func() {
		defer close(ended)
		for {
			select {
			case <-l.more:
				for frame := l.next(); frame != nil && ctx.Err() == nil; frame = l.next() {
					if err := st.Send(frame); err != nil {
						cancel(fmt.Errorf("%w: %w", errLeft, err))
						return
					}
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return ended
}
