package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/aitbc/aitbc/services/internal/crash"
)

// ErrStopped says that the Committer no longer takes changes. Nothing of the change was written.
var ErrStopped = errors.New("the store takes no more changes")

// errPanicked is what a change that panicked fails with. The change is at fault, not its neighbours.
var errPanicked = errors.New("the change panicked")

// Updater is the part of a Store that a Committer needs.
type Updater interface {
	// Update runs fn in one transaction; see Store.
	Update(ctx context.Context, fn func(Tx) error) error
}

// CommitterConfig sizes a Committer.
type CommitterConfig struct {
	// Queue is how many changes may wait; those beyond it wait in Commit. From 1.
	Queue int
	// Batch is the most changes in one transaction, which bounds how long one takes. From 1.
	Batch int
	// FlushTimeout bounds one transaction.
	FlushTimeout time.Duration
	// Flushed is told of every transaction, on the committer's goroutine; nil: nobody is. It must
	// return quickly.
	Flushed func(Flush)
}

// Flush is what one transaction of a Committer did.
type Flush struct {
	// Changes is how many changes it carried, those that failed by themselves included.
	Changes int
	// Took is how long it lasted, from its begin to its end.
	Took time.Duration
	// Err is why nothing of it was written; nil: it was.
	Err error
}

// DefaultCommitterConfig gives the sizes that a replica uses.
func DefaultCommitterConfig() CommitterConfig {
	return CommitterConfig{Queue: 4096, Batch: 1024, FlushTimeout: 30 * time.Second}
}

// Validate reports every fault of the configuration.
func (c CommitterConfig) Validate() error {
	var faults []error
	if c.Queue < 1 {
		faults = append(faults, fmt.Errorf("queue %d: want at least 1", c.Queue))
	}
	if c.Batch < 1 {
		faults = append(faults, fmt.Errorf("batch %d: want at least 1", c.Batch))
	}
	if c.FlushTimeout <= 0 {
		faults = append(faults, fmt.Errorf("flush timeout %s: want more than 0", c.FlushTimeout))
	}
	return errors.Join(faults...)
}

// Committer gathers the changes that wait and commits them as one transaction, so that one flush
// to disk serves all of them. It adds no wait: an idle one commits a lone change at once, and the
// next batch gathers by itself while a flush is under way.
type Committer struct {
	store   Updater
	config  CommitterConfig
	queue   chan *change  // Commit sends, Run receives; never closed
	stopped chan struct{} // closed by Run when it takes no more
}

// NewCommitter makes a committer; Run makes it work.
func NewCommitter(st Updater, config CommitterConfig) (*Committer, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("committer configuration: %w", err)
	}
	return &Committer{
		store:   st,
		config:  config,
		queue:   make(chan *change, config.Queue),
		stopped: make(chan struct{}),
	}, nil
}

// Waiting gives how many changes wait for a transaction.
func (c *Committer) Waiting() int { return len(c.queue) }

// Commit has fn's writes made and waits until they are flushed to disk. When it returns an error,
// nothing of fn was written: the error is fn's own, the store's, ctx's, or ErrStopped.
//
// fn runs on the committer's goroutine, between other changes and in the order of the calls. It
// must be quick, touch nothing but its Tx and its own variables, and find what is wrong before its
// first write. It may run more than once, each time on the state without its earlier runs: so it
// sets results and never adds to them. No run of it is under way after Commit has returned.
//
// ctx is honoured while the change waits. Once a transaction has taken it, Commit waits for the
// outcome, which FlushTimeout bounds.
func (c *Committer) Commit(ctx context.Context, fn func(Tx) error) error {
	ch := &change{apply: fn, done: make(chan struct{})}
	select {
	case <-c.stopped: // first, because select chooses at random and the queue may have room
		return ErrStopped
	default:
	}
	select {
	case c.queue <- ch:
	case <-c.stopped:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w", context.Cause(ctx))
	}
	select {
	case <-ch.done:
		return ch.err
	case <-c.stopped:
		if ch.settle(abandoned) {
			return ErrStopped
		}
	case <-ctx.Done():
		if ch.settle(abandoned) {
			return fmt.Errorf("wait for the store: %w", context.Cause(ctx))
		}
	}
	<-ch.done
	return ch.err
}

// Run commits until ctx ends; then it commits what still waits and returns nil. Call it once.
func (c *Committer) Run(ctx context.Context) error {
	defer close(c.stopped)
	flushing := context.WithoutCancel(ctx)
	for {
		select {
		case first := <-c.queue:
			c.flush(flushing, c.gather(first))
			continue
		case <-ctx.Done():
		}
		select {
		case first := <-c.queue:
			c.flush(flushing, c.gather(first))
		default:
			return nil
		}
	}
}

// gather takes what waits behind first.
func (c *Committer) gather(first *change) []*change {
	// Those whose flush just ended are runnable but have not run: let them bring their next change.
	runtime.Gosched()
	batch := make([]*change, 0, min(c.config.Batch, len(c.queue)+1))
	batch = take(batch, first)
	for len(batch) < c.config.Batch {
		select {
		case next := <-c.queue:
			batch = take(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func take(batch []*change, ch *change) []*change {
	if ch.settle(taken) {
		return append(batch, ch)
	}
	return batch
}

// maxCulprits is how many changes are picked out of one batch before the rest goes one by one: a
// store that fails every write must not cost a square of attempts.
const maxCulprits = 3

// flush commits the batch and answers everyone in it. A change that wrote and then failed takes
// the transaction with it, so the others are committed again without it.
func (c *Committer) flush(ctx context.Context, batch []*change) {
	for culprits := 0; len(batch) > 0 && culprits < maxCulprits; culprits++ {
		if batch = c.attempt(ctx, batch); batch == nil {
			return
		}
	}
	for _, ch := range batch {
		c.attempt(ctx, []*change{ch})
	}
}

// attempt runs one transaction. It answers everyone and gives nil; or, when one change spoiled
// it, answers that one and gives the others, of which nothing is written.
func (c *Committer) attempt(ctx context.Context, batch []*change) (retry []*change) {
	ctx, cancel := context.WithTimeout(ctx, c.config.FlushTimeout)
	defer cancel()
	culprit := -1
	began := time.Now()
	crash.At("coordinator/flush/before")
	err := c.store.Update(ctx, func(tx Tx) error {
		culprit = -1
		for i, ch := range batch {
			spoiled := ch.run(tx)
			if spoiled {
				culprit = i
				return ch.err
			}
		}
		return nil
	})
	crash.At("coordinator/flush/after")
	if c.config.Flushed != nil {
		c.config.Flushed(Flush{Changes: len(batch), Took: time.Since(began), Err: err})
	}
	if err != nil && culprit >= 0 {
		close(batch[culprit].done)
		rest := make([]*change, 0, len(batch)-1)
		return append(append(rest, batch[:culprit]...), batch[culprit+1:]...)
	}
	for _, ch := range batch {
		if err != nil { // also over its own error, which may rest on what a neighbour has not written now
			ch.err = fmt.Errorf("commit: %w", err)
		}
		close(ch.done)
	}
	return nil
}

// change is one caller's writes on their way. Who settles it first decides: a caller that goes
// away abandons it, the committer takes it.
type change struct {
	apply func(Tx) error
	state atomic.Int32
	done  chan struct{} // closed by the committer when err is final
	err   error         // written by the committer before done is closed
}

const (
	taken     int32 = 1
	abandoned int32 = 2
)

func (ch *change) settle(as int32) bool { return ch.state.CompareAndSwap(0, as) }

// run applies the change, keeps its error, and reports whether it leaves the transaction in a
// state that must not be committed.
func (ch *change) run(tx Tx) (spoiled bool) {
	watched := &watchedTx{tx: tx}
	defer func() {
		if p := recover(); p != nil { // one request's fault must not end the replica's only writer
			ch.err, spoiled = fmt.Errorf("%w: %v", errPanicked, p), true
		}
	}()
	ch.err = ch.apply(watched)
	if watched.broken != nil { // even if the change overlooked it
		ch.err = watched.broken
		return true
	}
	return ch.err != nil && watched.wrote
}
