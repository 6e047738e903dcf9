package dispatch_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/sqlite"
)

const (
	chain  = "test-chain"
	tiny   = "tiny:latest"
	price  = aitbc.Amount(20_000)
	answer = "Machine learning is a subset of artificial intelligence."
)

var (
	digest      = aitbc.Hash{1, 2, 3}
	operatorKey = ed25519.NewKeyFromSeed(make([]byte, 32))
	clientID    = aitbc.AccountOf(keyOf(100).Public().(ed25519.PublicKey))
)

// keyOf gives the n-th of a row of keys.
func keyOf(n byte) ed25519.PrivateKey {
	seed := make([]byte, 32)
	seed[0], seed[1] = 7, n
	return ed25519.NewKeyFromSeed(seed)
}

// world is a dispatcher on a real store, with the ledger and the miners played by the test. It
// lives in a bubble, so time passes only while everything waits.
type world struct {
	*dispatch.Dispatcher
	t      *testing.T
	path   string
	store  *sqlite.Store
	ledger *ledgerFake
	config dispatch.Config
	// paused: nothing is handed out and nothing times out.
	paused bool
	stop   func()
	// accused are the contradictions that were told of.
	accused []dispatch.Contradiction
}

// pass lets time pass in the bubble; what is due at its end has happened.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// inWorld runs a test in a bubble with a dispatcher.
func inWorld(t *testing.T, change func(*dispatch.Config), test func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "coordinator.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: path, ledger: newLedgerFake(), config: dispatch.DefaultConfig(chain)}
		w.config.Scheduler.NewcomerShare = 0 // no choice by lot: a test says who is chosen
		if change != nil {
			change(&w.config)
		}
		w.start()
		defer func() { w.stop() }()
		test(t, w)
	})
}

// start makes the dispatcher on what is in the store, as after a restart.
func (w *world) start() {
	w.t.Helper()
	var err error
	w.store, err = sqlite.Open(w.t.Context(), w.path)
	require.NoError(w.t, err)
	committer, err := store.NewCommitter(w.store, store.DefaultCommitterConfig())
	require.NoError(w.t, err)
	w.Dispatcher, err = dispatch.New(w.t.Context(), w.config, dispatch.Deps{
		Store: w.store, Committer: committer, Ledger: w.ledger, Outbox: w.ledger,
		Accuse: func(c dispatch.Contradiction) { w.accused = append(w.accused, c) },
		Shards: []int32{1}, Operator: operatorKey, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(w.t, committer.Run(ctx)) })
	if !w.paused {
		running.Go(func() { require.NoError(w.t, w.Run(ctx)) })
	}
	w.stop = func() {
		cancel()
		running.Wait()
		require.NoError(w.t, w.store.Close())
	}
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func request() dispatch.SubmitRequest {
	return dispatch.SubmitRequest{Client: clientID, Type: aitbc.TypeInference, Model: "tiny", Prompt: "What is machine learning?"}
}

// submit submits a job; edits change the request before.
func (w *world) submit(edits ...func(*dispatch.SubmitRequest)) job.Job {
	w.t.Helper()
	r := request()
	for _, edit := range edits {
		edit(&r)
	}
	j, err := w.Submit(w.t.Context(), r)
	require.NoError(w.t, err)
	return j
}

// queue submits a job and has its escrow made.
func (w *world) queue(edits ...func(*dispatch.SubmitRequest)) job.Job {
	w.t.Helper()
	j := w.submit(edits...)
	w.settle()
	return w.job(j.ID)
}

// job reads a job from the store, when all is quiet.
func (w *world) job(id aitbc.JobID) job.Job {
	w.t.Helper()
	synctest.Wait()
	j, err := w.store.Job(w.t.Context(), id)
	require.NoError(w.t, err)
	return j
}

// settle plays the ledger: everything that is owed is done, and the outcome handed over.
func (w *world) settle() {
	w.t.Helper()
	synctest.Wait()
	owed, err := w.store.Outbox(w.t.Context(), 0, 1000)
	require.NoError(w.t, err)
	outcomes := make([]job.Outcome, len(owed))
	for i, o := range owed {
		outcomes[i] = outcomeOf(o)
	}
	require.NoError(w.t, w.Settle(w.t.Context(), outcomes))
	synctest.Wait()
}

func outcomeOf(o store.Owed) job.Outcome {
	outcome := job.Outcome{JobID: o.Job.ID, Kind: o.Kind, EscrowTx: aitbc.Hash{9}}
	settlement := &job.Settlement{Height: 7, BlockTime: time.Unix(1000, 0).UTC(), TxHash: aitbc.Hash{8}}
	switch o.Kind {
	case job.RecordReceipt:
		metered := time.Duration(o.Job.Completion.MeteredUS) * time.Microsecond
		settlement.Paid = aitbc.Price(metered, o.Job.Order.Price, o.Job.Order.MaxPrice)
		settlement.HasReceipt = true
		fallthrough
	case job.RefundJob:
		settlement.Refunded = o.Job.Order.MaxPrice - settlement.Paid
		outcome.Settlement = settlement
	default:
	}
	return outcome
}

// requireJob waits until all is quiet and checks where the job is.
func (w *world) requireJob(id aitbc.JobID, phase job.Phase, outcome job.Status, reason coordinatorv1.ErrorReason) job.Job {
	w.t.Helper()
	j := w.job(id)
	require.Equal(w.t, fmt.Sprint(phase, " ", outcome, " ", reason), fmt.Sprint(j.Phase, " ", j.Outcome, " ", j.Failure.Reason), j.Failure.Message)
	return j
}

// owes says what the ledger is owed for the job.
func (w *world) owes(id aitbc.JobID) []job.Message {
	w.t.Helper()
	synctest.Wait()
	owed, err := w.store.Outbox(w.t.Context(), 0, 1000)
	require.NoError(w.t, err)
	var kinds []job.Message
	for _, o := range owed {
		if o.Job.ID == id {
			kinds = append(kinds, o.Kind)
		}
	}
	return kinds
}

// ledgerFake has one price and as much money as the test says. It counts what it is asked for.
type ledgerFake struct {
	mu       sync.Mutex
	balance  aitbc.Amount
	perJob   aitbc.Amount
	keys     map[aitbc.AccountID]ed25519.PublicKey
	notified int
	away     bool
	free     bool          // there is no ledger
	held     chan struct{} // while it is not nil, Funds waits for its end
}

// hold has questions about funds wait until release.
func (l *ledgerFake) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = make(chan struct{})
}

func (l *ledgerFake) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held)
	l.held = nil
}

func newLedgerFake() *ledgerFake {
	return &ledgerFake{
		balance: 1000 * aitbc.UnitsPerCoin,
		keys:    map[aitbc.AccountID]ed25519.PublicKey{},
	}
}

var errAway = job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE, "away")

func (l *ledgerFake) Terms(context.Context) (dispatch.Terms, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return dispatch.Terms{}, errAway
	}
	return dispatch.Terms{
		Now: time.Now(), Price: price, MinPrice: 1, MaxPrice: 1_000_000, MinGrace: time.Hour,
		MaxSettleAhead: 24 * time.Hour, MaxExpiryAhead: 10 * time.Minute,
	}, nil
}

func (l *ledgerFake) Funds(_ context.Context, id aitbc.AccountID) (dispatch.Funds, error) {
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	if held != nil {
		<-held
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return dispatch.Funds{Balance: l.balance, Allowance: l.balance, PerJob: l.perJob, Key: l.keys[id]}, nil
}

func (l *ledgerFake) MinerKey(_ context.Context, id aitbc.AccountID) (ed25519.PublicKey, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys[id], nil
}

// Decide implements dispatch.Outbox.
func (l *ledgerFake) Decide(id aitbc.JobID, kind job.Message) (job.Outcome, bool) {
	return job.Outcome{JobID: id, Kind: kind, Free: true}, l.free
}

func (l *ledgerFake) Notify() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notified++
}
