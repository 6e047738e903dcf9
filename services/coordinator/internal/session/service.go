package session

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

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
	// pumps are the goroutines that send, hear and look at stakes: they may be blocked in the stream
	// and end only after their handler has returned.
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

// Connect implements SessionService. The handler waits for the session's end, so that it can leave whatever
// the miner blocks; one goroutine hears the miner, and another sends while something waits to be sent. So an
// idle miner's heartbeat wakes one goroutine.
func (s *Service) Connect(st stream) error {
	ctx, cancel := context.WithCancelCause(st.Context())
	defer cancel(nil)
	t, err := aside(ctx, &s.pumps, func() (*talk, error) { return s.greet(ctx, cancel, st) })
	if err != nil {
		return err
	}
	// Without an end: what has begun is ended below.
	if _, err = aside(context.WithoutCancel(ctx), &s.pumps, func() (*talk, error) { return t, t.begin(ctx, st) }); err == nil {
		err = t.await(ctx)
	}
	return t.leave(ctx, err)
}

// aside does something on a goroutine of its own and waits for it, as long as the context lives. A stack that
// has grown stays so while its goroutine lives, and there are thousands of handlers, which live as long as their
// miners are connected: what needs a deep stack before a session is open is not done on theirs.
func aside[T any](ctx context.Context, pumps *sync.WaitGroup, do func() (T, error)) (result T, err error) {
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	pumps.Go(func() {
		var o outcome
		o.err = guard(func() (err error) {
			o.result, err = do()
			return err
		})
		done <- o
	})
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		return result, context.Cause(ctx)
	}
}

// guard makes an error of a panic: a fault in how one miner's frames are served ends that miner's session.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// greet takes a miner from its first frame to a proven key.
func (s *Service) greet(ctx context.Context, cancel context.CancelCauseFunc, st stream) (*talk, error) {
	leaveDoor, err := s.door.enter(origin(st.Context()))
	if err != nil {
		return nil, err
	}
	defer leaveDoor()
	late := time.AfterFunc(s.config.Handshake, func() { cancel(errLate) })
	defer late.Stop()
	registration, hello, err := s.shakeHands(ctx, st)
	if err != nil {
		return nil, err
	}
	if !late.Stop() {
		return nil, errLate
	}
	sessionID := "session_" + strings.ToLower(rand.Text())
	t := &talk{
		service: s, id: sessionID, registration: registration, miner: registration.ID, end: cancel,
		log:      s.deps.Log.With(obs.KeyMinerID, registration.ID.String(), obs.KeySessionID, sessionID),
		explains: hello.GetWantsExplanation(), looked: time.Now(),
	}
	t.link = newLink(s.config.SendQueue, t.send(st), cancel, s.pumps.Go)
	t.registration.Link = t.link
	t.work.SetLimit(s.config.InFlight)
	return t, nil
}
