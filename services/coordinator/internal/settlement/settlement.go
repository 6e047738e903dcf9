package settlement

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Settlement pays what the outbox owes.
type Settlement interface {
	// Run works until ctx ends, which is no error. One call at a time. Every message in the outbox
	// gets an outcome in the end, whatever was under way when an earlier run ended.
	Run(ctx context.Context) error
	// Decide gives the outcome of a message that needs no asking. It is then applied where the message
	// would be owed, in the same transaction. false: it must be owed. It is pure and does not wait.
	Decide(id aitbc.JobID, kind job.Message) (outcome job.Outcome, now bool)
	// Notify says that something new is owed, after its commit. It never blocks and may be called
	// by any goroutine, at any time.
	Notify()
}

// Sink takes outcomes. Implementation: dispatch.
type Sink interface {
	// Settle applies outcomes in one transaction: each job's step, what that owes in turn, and the
	// message's leaving the outbox. On an error nothing was written and the same outcomes come
	// again. Outcomes that were applied before change nothing.
	Settle(ctx context.Context, outcomes []job.Outcome) error
}

// Outbox is the part of the store that is read.
type Outbox interface {
	// Outbox lists owed messages as store.Reader says.
	Outbox(ctx context.Context, after int64, limit int) ([]store.Owed, error)
}

// Ledger is the part of the ledger that is used. Implementation: ledger.Client.
type Ledger interface {
	Head() (ledger.Head, error)
	Watch() (ledger.Head, <-chan struct{})
	Broadcast(ctx context.Context, tx []byte) error
	Transaction(ctx context.Context, hash aitbc.Hash) (*ledgerv1.GetTransactionResponse, error)
	Job(ctx context.Context, id aitbc.JobID, operator aitbc.AccountID) (*ledgerv1.GetJobResponse, error)
}

// Funds tells what clients have by the last block. Implementation: account.Reader.
type Funds interface {
	// Covers reports whether a job's client can pay for its escrow. Errors: the ledger does not
	// answer.
	Covers(ctx context.Context, j job.Job) (bool, error)
}

// Config says how the ledger is used. Its zero value is not valid: begin with DefaultConfig.
type Config struct {
	// MaxMessages bounds the messages of a transaction. Default 500; the ledger takes 1000.
	MaxMessages int
	// MaxTxBytes bounds a transaction. Default ledger.MaxTxBytes less room for its frame.
	MaxTxBytes int
	// MaxInFlight bounds the transactions whose outcome is awaited. Default 4.
	MaxInFlight int
	// TxLife is how long, in the ledger's time, a transaction may be committed. Default 60 s.
	TxLife time.Duration
	// ResendAfter is how long a transaction may stay unanswered before its bytes are sent again.
	// Default 5 s.
	ResendAfter time.Duration
	// SweepEvery is how often the outbox is read from its beginning when nothing else is to do,
	// and the longest that a message waits for its next try. Default 60 s.
	SweepEvery time.Duration
	// MaxParked bounds the messages in memory that wait for a later try; more wait in the store
	// for the next sweep. Default 10,000.
	MaxParked int
}

// DefaultConfig gives the defaults.
func DefaultConfig() Config {
	const frame = 4096 // body, key, signature and field headers of a transaction
	return Config{
		MaxMessages: 500,
		MaxTxBytes:  ledger.MaxTxBytes - frame,
		MaxInFlight: 4,
		TxLife:      time.Minute,
		ResendAfter: 5 * time.Second,
		SweepEvery:  time.Minute,
		MaxParked:   10_000,
	}
}

// Validate names all that is wrong.
func (c Config) Validate() error {
	var faults []error
	positive := func(name string, ok bool) {
		if !ok {
			faults = append(faults, fmt.Errorf("settlement: %s must be positive", name))
		}
	}
	positive("messages per transaction", c.MaxMessages > 0)
	positive("bytes per transaction", c.MaxTxBytes > 0)
	positive("transactions in flight", c.MaxInFlight > 0)
	positive("life of a transaction", c.TxLife > 0)
	positive("resend time", c.ResendAfter > 0)
	positive("sweep time", c.SweepEvery > 0)
	positive("parked messages", c.MaxParked > 0)
	return errors.Join(faults...)
}

// Deps are the parts that a Chain works with.
type Deps struct {
	// Ledger is the ledger; something else runs its client.
	Ledger Ledger
	// Funds reads accounts on it.
	Funds Funds
	// Outbox is the store, Sink what takes the outcomes.
	Outbox Outbox
	Sink   Sink
	// Operator is the operator's account, Key its key.
	Operator aitbc.AccountID
	Key      ed25519.PrivateKey
	// Registry takes the metrics.
	Registry prometheus.Registerer
	// Log takes one line for each transaction, and what a human should know.
	Log *slog.Logger
}

// Chain is the Settlement on the ledger.
type Chain struct {
	config  Config
	deps    Deps
	mirror  *mirror
	metrics metrics
	notify  chan struct{} // capacity 1: there may be something new in the outbox
	decided chan struct{} // capacity 1: a transaction was refused before it had a block
}

var (
	_ Settlement = (*Chain)(nil)
	_ Ledger     = (*ledger.Client)(nil)
)

// New gives a settlement that Run sets going.
func New(config Config, deps Deps) (*Chain, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(deps.Registry)
	if err != nil {
		return nil, fmt.Errorf("settlement: register metrics: %w", err)
	}
	return &Chain{
		config: config, deps: deps, metrics: m,
		notify:  make(chan struct{}, 1),
		decided: make(chan struct{}, 1),
	}, nil
}

// Decide implements Settlement: only the ledger decides.
func (*Chain) Decide(aitbc.JobID, job.Message) (job.Outcome, bool) { return job.Outcome{}, false }

// Notify says that something new is owed.
func (c *Chain) Notify() { signal(c.notify) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it is set already
	}
}

// Run works until ctx ends.
func (c *Chain) Run(ctx context.Context) error {
	c.mirror = newMirror(c.config)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.send(ctx) })
	group.Go(func() error { return c.settle(ctx) })
	return group.Wait()
}
