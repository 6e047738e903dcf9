package settlementtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Book is a coordinator reduced to what settlement sees of it: jobs, the outbox, and a Sink that
// applies outcomes as dispatch does. It survives the settlement, as a store survives a crash. It
// is safe for concurrent use.
type Book struct {
	mu       sync.Mutex
	jobs     map[aitbc.JobID]job.Job
	owed     []store.Owed
	seq      int64
	changed  chan struct{}
	applied  map[aitbc.JobID][]job.Outcome
	sizes    []int
	refusals []error
	spurned  map[aitbc.JobID]bool
	withheld map[aitbc.JobID]bool
	settling func()
}

var (
	_ settlement.Sink   = (*Book)(nil)
	_ settlement.Outbox = (*Book)(nil)
)

// NewBook gives an empty book.
func NewBook() *Book {
	return &Book{
		jobs:    make(map[aitbc.JobID]job.Job),
		applied: make(map[aitbc.JobID][]job.Outcome),
		changed: make(chan struct{}),
		spurned: make(map[aitbc.JobID]bool), withheld: make(map[aitbc.JobID]bool),
	}
}

// Put writes a job and what it owes.
func (b *Book) Put(j job.Job, owes job.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(j, owes)
}

func (b *Book) put(j job.Job, owes job.Message) {
	b.jobs[j.ID] = j
	if owes != job.None {
		b.seq++
		b.owed = append(b.owed, store.Owed{Seq: b.seq, Kind: owes, Job: j})
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// Refuse makes the next calls of Settle fail, one with each error.
func (b *Book) Refuse(errs ...error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusals = append(b.refusals, errs...)
}

// Spurn makes every Settle fail that has an outcome of this job, or no longer.
func (b *Book) Spurn(id aitbc.JobID, spurned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spurned[id] = spurned
}

// Withhold keeps what a job owes out of sight, or no longer: as if the commit of another replica had its
// number and were not visible yet.
func (b *Book) Withhold(id aitbc.JobID, withheld bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.withheld[id] = withheld
}

// Settling sets what is called before each Settle.
func (b *Book) Settling(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settling = f
}

// Outbox lists what is owed.
func (b *Book) Outbox(ctx context.Context, after int64, limit int) ([]store.Owed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var page []store.Owed
	for _, o := range b.owed {
		if o.Seq > after && len(page) < limit && !b.withheld[o.Job.ID] {
			o.Job = b.jobs[o.Job.ID]
			page = append(page, o)
		}
	}
	return page, ctx.Err()
}

// Settle applies outcomes, all or none.
func (b *Book) Settle(ctx context.Context, outcomes []job.Outcome) error {
	b.mu.Lock()
	hook := b.settling
	b.mu.Unlock()
	if hook != nil {
		hook()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.refusals) > 0 {
		err := b.refusals[0]
		b.refusals = b.refusals[1:]
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, o := range outcomes {
		if b.spurned[o.JobID] {
			return fmt.Errorf("settle %s: a rule of the tables is broken", o.JobID)
		}
	}
	b.sizes = append(b.sizes, len(outcomes))
	for _, o := range outcomes {
		now := b.jobs[o.JobID].SubmittedAt
		j, owes, err := b.jobs[o.JobID].Apply(now, o)
		if err != nil {
			return err
		}
		b.applied[o.JobID] = append(b.applied[o.JobID], o)
		b.owed = slices.DeleteFunc(b.owed, func(owed store.Owed) bool {
			return owed.Job.ID == o.JobID && owed.Kind == o.Kind
		})
		b.put(j, owes)
	}
	return nil
}

// Job gives a job.
func (b *Book) Job(id aitbc.JobID) job.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.jobs[id]
}

// Owed gives how many messages are owed.
func (b *Book) Owed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.owed)
}

// Outcomes gives a job's outcomes of one kind of message.
func (b *Book) Outcomes(id aitbc.JobID, kind job.Message) []job.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []job.Outcome
	for _, o := range b.applied[id] {
		if o.Kind == kind {
			list = append(list, o)
		}
	}
	return list
}

// Settles gives the number of outcomes of every Settle.
func (b *Book) Settles() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sizes)
}

// patience is how long Await waits; in a bubble of testing/synctest it costs nothing.
const patience = 30 * time.Minute

// realPatience is the same outside.
const realPatience = 20 * time.Second

// Await waits until the book is as wanted, looking after each change.
func (b *Book) Await(t testing.TB, what string, ok func() bool) { b.await(t, what, realPatience, ok) }

// AwaitInBubble is Await for the time of a bubble, in which the ledger's clock runs for minutes.
func (b *Book) AwaitInBubble(t testing.TB, what string, ok func() bool) {
	b.await(t, what, patience, ok)
}

func (b *Book) await(t testing.TB, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			require.FailNow(t, "waited in vain", what)
		}
	}
}
