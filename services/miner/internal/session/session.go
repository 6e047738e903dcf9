package session

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
)

// Orders is who carries out what the coordinator wants of its own operator's leases. Every order may
// be repeated; none waits for a job.
type Orders interface {
	// Offer takes a lease or refuses it; the outcome is reported.
	Offer(op attempt.Operator, lease *coordinatorv1.Lease)
	// Revoke ends a lease, with settle after one signed statement for what was done.
	Revoke(op attempt.Operator, leaseID string, settle bool) error
	// Accept keeps the acceptance of a result, which needs no more telling.
	Accept(op attempt.Operator, leaseID string, acceptance *coordinatorv1.Acceptance) error
	// Pull has the engine fetch these models and no others, of those that the owner allows.
	Pull(op attempt.Operator, models []string)
}

// Reports is who knows what there is to tell.
type Reports interface {
	// Watch gives a channel that closes at the next change.
	Watch() <-chan struct{}
	// ReportTo gives everything there is to tell this operator, and nothing else.
	ReportTo(op attempt.Operator) attempt.Report
	// Result reads a waiting result.
	Result(leaseID string) (*coordinatorv1.AttemptResult, error)
	// FailureTold ticks off a failure that was sent.
	FailureTold(op attempt.Operator, leaseID string)
	// Spoken gets one when some running lease's text has grown.
	Spoken() <-chan struct{}
	// Said gives the text of a running lease of this operator's from this byte on; empty: there is no
	// more yet.
	Said(op attempt.Operator, leaseID string, from int64) string
	// ProgressDue reports whether a running lease of this operator's should be signed for again;
	// Progress does it, when the first told bytes are all of its text, or gives nil.
	ProgressDue(op attempt.Operator, leaseID string) bool
	Progress(op attempt.Operator, leaseID string, told int64) *coordinatorv1.AttemptProgress
}

// Worker is both.
type Worker interface {
	Orders
	Reports
}

// Session keeps a session with one of the coordinators.
type Session struct {
	config Config
	self   aitbc.AccountID
	worker Worker
	log    *slog.Logger

	mu      sync.Mutex
	talk    *talk // nil: there is no session
	address string
	lastErr string
}

// New makes a session that connects when Run is called.
func New(config Config, worker Worker, log *slog.Logger) (*Session, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("session config: %w", err)
	}
	self := aitbc.AccountOf(config.Key.Public().(ed25519.PublicKey))
	return &Session{config: config, self: self, worker: worker, log: log, address: config.Addresses[0]}, nil
}

// Run connects, talks and connects again until ctx ends; the coordinator then hears a last state.
func (s *Session) Run(ctx context.Context) error {
	failures := 0
	for next := 0; ; next++ {
		address := s.config.Addresses[next%len(s.config.Addresses)]
		s.note(address, nil, nil)
		talked, err := s.connect(ctx, address)
		s.note(address, nil, err)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop, and so the session ended
		}
		if talked > s.config.Backoff.Max { // sessions that end at once are no success
			failures = 0
		}
		wait, level := s.config.Backoff.wait(failures, rand.Float64()), slog.LevelWarn
		if errors.Is(err, errReplaced) {
			wait, level = s.config.Backoff.Max, slog.LevelError // only people can end that
		}
		s.log.Log(ctx, level, "no session", obs.KeyAddr, address, obs.KeyError, err, "retry_in", wait)
		failures++
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// note keeps what Status shows. A new attempt leaves the last error standing until there is a session.
func (s *Session) note(address string, t *talk, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address, s.talk = address, t
	switch {
	case err != nil:
		s.lastErr = err.Error()
	case t != nil:
		s.lastErr = ""
	}
}

// Status is a session's state for people.
type Status struct {
	// Connected says that there is a session.
	Connected bool
	// Address is the coordinator's that is or was last tried.
	Address string
	// LastError says why there is no session.
	LastError string
	// Why is the coordinator's word on why the miner gets the jobs it gets; nil: it has not said.
	Why *coordinatorv1.MinerExplanation
}

// Status gives the state.
func (s *Session) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := Status{Connected: s.talk != nil, Address: s.address, LastError: s.lastErr}
	if s.talk != nil {
		status.Why = s.talk.why.Load()
	}
	return status
}

var (
	// ErrNoSession says that there is no coordinator to ask at the moment.
	ErrNoSession = errors.New("no session with a coordinator")
	// ErrBusy says that too many claims wait, or one for this job does.
	ErrBusy = errors.New("too many claims at once")
)

// Claim asks the coordinator for one particular job and waits for its answer. Errors:
// [ErrNoSession], [ErrBusy], ctx's.
func (s *Session) Claim(ctx context.Context, claim *coordinatorv1.JobClaim) (*coordinatorv1.JobClaimAnswer, error) {
	s.mu.Lock()
	t := s.talk
	s.mu.Unlock()
	if t == nil {
		return nil, ErrNoSession
	}
	return t.claims.ask(ctx, proto.CloneOf(claim))
}
