package settlementtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement"
)

// Bench is what an implementation brings to the suite.
type Bench struct {
	// Cast are the accounts; the client has tokens for a thousand jobs, if the implementation
	// knows tokens at all.
	Cast *Cast
	// Now is the ledger's clock.
	Now func() time.Time
	// Costs says that jobs are paid for; else every amount is zero and there is no receipt.
	Costs bool
	// Open makes a settlement over a book. It is opened again after each stop.
	Open func(t *testing.T, book *Book) settlement.Settlement
}

// Run holds an implementation to the contract of settlement.Settlement.
func Run(t *testing.T, open func(t *testing.T) Bench) {
	stories := map[string]func(*testing.T, Bench){
		"a submitted job is escrowed once and waits for a miner": submitted,
		"an accepted result completes the job":                   completed,
		"a failed job is refunded":                               refunded,
		"many jobs at once all get one outcome":                  many,
		"what was owed before the start is settled":              owedBefore,
		"a sink that refuses gets the same outcomes again":       refusedSink,
		"one outcome that is not taken holds up no other":        spurnedOutcome,
		"notify never blocks":                                    notify,
		"what needs no ledger is decided at once":                decided,
		"what a stopped run left is settled by the next":         restarted,
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, open(t))
		})
	}
}

// start runs a settlement and gives what ends it.
func start(t *testing.T, b Bench, book *Book) (settlement.Settlement, func()) {
	t.Helper()
	s := b.Open(t, book)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop := func() {
		cancel()
		require.NoError(t, <-ended)
	}
	return s, stop
}

func submitted(t *testing.T, b Bench) {
	book := NewBook()
	s, stop := start(t, b, book)
	defer stop()
	j := b.Cast.Job(t, b.Now())
	book.Put(j, job.SubmitJob)
	s.Notify()
	book.Await(t, "escrow", func() bool { return book.Owed() == 0 })
	require.Equal(t, job.Queued, book.Job(j.ID).Phase)
	require.Len(t, book.Outcomes(j.ID, job.SubmitJob), 1)
}

// queued puts a job into the book whose escrow is committed.
func queued(t *testing.T, b Bench, book *Book, s settlement.Settlement) job.Job {
	t.Helper()
	j := b.Cast.Job(t, b.Now())
	book.Put(j, job.SubmitJob)
	s.Notify()
	book.Await(t, "escrow", func() bool { return book.Job(j.ID).Phase == job.Queued })
	return book.Job(j.ID)
}

func completed(t *testing.T, b Bench) {
	book := NewBook()
	s, stop := start(t, b, book)
	defer stop()
	j := queued(t, b, book, s)
	j, owes := b.Cast.Accept(t, j, b.Now())
	book.Put(j, owes)
	s.Notify()
	book.Await(t, "receipt", func() bool { return book.Owed() == 0 })
	done := book.Job(j.ID)
	require.Equal(t, job.StatusCompleted, done.Status())
	require.Equal(t, b.Costs, done.Settlement.HasReceipt)
	if b.Costs {
		require.Equal(t, Paid, done.Settlement.Paid)
		require.Equal(t, MaxPrice-Paid, done.Settlement.Refunded)
		require.Positive(t, done.Settlement.Height)
		require.False(t, done.Settlement.BlockTime.IsZero())
		require.False(t, done.Settlement.TxHash.IsZero())
		require.NotEqual(t, done.EscrowTx, done.Settlement.TxHash)
	}
}

func refunded(t *testing.T, b Bench) {
	book := NewBook()
	s, stop := start(t, b, book)
	defer stop()
	j := queued(t, b, book, s)
	j, owes, err := j.Cancelled(b.Now())
	require.NoError(t, err)
	book.Put(j, owes)
	s.Notify()
	book.Await(t, "refund", func() bool { return book.Owed() == 0 })
	done := book.Job(j.ID)
	require.Equal(t, job.StatusCancelled, done.Status())
	require.False(t, done.Settlement.HasReceipt)
	require.Zero(t, done.Settlement.Paid)
	if b.Costs {
		require.Equal(t, MaxPrice, done.Settlement.Refunded)
		require.False(t, done.Settlement.RefundFinalAt.IsZero())
	}
}

func many(t *testing.T, b Bench) {
	book := NewBook()
	s, stop := start(t, b, book)
	defer stop()
	var jobs []job.Job
	for range 700 {
		j := b.Cast.Job(t, b.Now())
		jobs = append(jobs, j)
		book.Put(j, job.SubmitJob)
		s.Notify()
	}
	book.Await(t, "escrows", func() bool { return book.Owed() == 0 })
	for _, j := range jobs {
		require.Len(t, book.Outcomes(j.ID, job.SubmitJob), 1)
		require.Equal(t, job.Queued, book.Job(j.ID).Phase)
	}
}

func owedBefore(t *testing.T, b Bench) {
	book := NewBook()
	j := b.Cast.Job(t, b.Now())
	book.Put(j, job.SubmitJob)
	_, stop := start(t, b, book)
	defer stop()
	book.Await(t, "escrow", func() bool { return book.Job(j.ID).Phase == job.Queued })
}

func refusedSink(t *testing.T, b Bench) {
	book := NewBook()
	book.Refuse(errors.New("disk full"), errors.New("disk full"))
	s, stop := start(t, b, book)
	defer stop()
	j := b.Cast.Job(t, b.Now())
	book.Put(j, job.SubmitJob)
	s.Notify()
	book.Await(t, "escrow", func() bool { return book.Job(j.ID).Phase == job.Queued })
	require.Len(t, book.Outcomes(j.ID, job.SubmitJob), 1)
}

func spurnedOutcome(t *testing.T, b Bench) {
	book := NewBook()
	bad, good := b.Cast.Job(t, b.Now()), b.Cast.Job(t, b.Now())
	book.Put(bad, job.SubmitJob)
	book.Put(good, job.SubmitJob)
	book.Spurn(bad.ID, true)
	s, stop := start(t, b, book)
	defer stop()
	book.Await(t, "escrow beside it", func() bool { return book.Job(good.ID).Phase == job.Queued })
	later := b.Cast.Job(t, b.Now())
	book.Put(later, job.SubmitJob)
	s.Notify()
	book.Await(t, "escrow after it", func() bool { return book.Job(later.ID).Phase == job.Queued })
	require.Equal(t, job.Escrowing, book.Job(bad.ID).Phase)
	book.Spurn(bad.ID, false)
	book.Await(t, "its own escrow", func() bool { return book.Job(bad.ID).Phase == job.Queued })
	require.Zero(t, book.Owed())
}

func notify(t *testing.T, b Bench) {
	s := b.Open(t, NewBook())
	for range 1000 {
		s.Notify()
	}
}

func decided(t *testing.T, b Bench) {
	s := b.Open(t, NewBook())
	j := b.Cast.Job(t, b.Now())
	outcome, now := s.Decide(j.ID, job.SubmitJob)
	require.Equal(t, !b.Costs, now)
	if b.Costs {
		return
	}
	j, owes, err := j.Apply(b.Now(), outcome)
	require.NoError(t, err)
	require.Equal(t, job.Queued, j.Phase)
	require.Empty(t, owes)
	j, owes = b.Cast.Accept(t, j, b.Now())
	outcome, now = s.Decide(j.ID, owes)
	require.True(t, now)
	j, owes, err = j.Apply(b.Now(), outcome)
	require.NoError(t, err)
	require.Equal(t, job.StatusCompleted, j.Status())
	require.Empty(t, owes)
	require.Zero(t, j.Settlement.Paid)
}

func restarted(t *testing.T, b Bench) {
	book := NewBook()
	var jobs []job.Job
	for range 20 {
		j := b.Cast.Job(t, b.Now())
		jobs = append(jobs, j)
		book.Put(j, job.SubmitJob)
		_, stop := start(t, b, book)
		stop() // at a random moment of its work
	}
	_, stop := start(t, b, book)
	defer stop()
	book.Await(t, "escrows", func() bool { return book.Owed() == 0 })
	for _, j := range jobs {
		require.Len(t, book.Outcomes(j.ID, job.SubmitJob), 1)
	}
}
