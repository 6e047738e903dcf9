package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// change is one step of one job on its way through the store.
type change struct {
	id aitbc.JobID
	// step makes the step, on the committer's goroutine. It is pure.
	step func(job.Job) (job.Job, job.Message, error)
	// also writes what belongs to the step; nil: nothing.
	also func(store.Tx) error
	// takes says that the step takes the job from another replica's shard.
	takes bool
	// lost says that another replica has said that it took the job.
	lost bool
	// reported says that the miner itself ended its attempt, so it need not be told; ends is which, where that
	// is known before the step.
	reported bool
	ends     holding
	// entry is the job's in memory, pinned while the change is under way; nil: the job is new.
	entry *entry

	// What became of it: the job before and after, its number among all changes, whether the step
	// changed anything and owes something, or why the step was refused.
	before, job job.Job
	number      uint64
	found       bool
	moved       bool
	owed        job.Message
	refused     error
}

// commit makes the steps in one transaction and then lets memory follow. A step that is refused
// says so in its change and keeps no other from being made; the error is the store's or the
// context's, and then nothing was written.
func (d *Dispatcher) commit(ctx context.Context, changes ...*change) error {
	if len(changes) == 0 {
		return nil
	}
	ids := make([]aitbc.JobID, len(changes))
	for i, c := range changes {
		ids[i] = c.id
	}
	d.pinAll(changes)
	err := d.deps.Committer.Commit(ctx, func(tx store.Tx) error {
		if err := tx.Preload(ids...); err != nil {
			return err
		}
		for _, c := range changes {
			if err := d.write(tx, c); err != nil {
				return err
			}
		}
		crashAt("before", changes)
		return nil
	})
	if err != nil {
		d.unpinAll(changes)
		return fmt.Errorf("commit %d changes: %w", len(changes), err)
	}
	crashAt("after", changes)
	d.committed(ctx, changes)
	return nil
}

// commitApart makes the steps in one transaction or, when that fails, each by itself, so that one
// that cannot be stored keeps no other from being made. It gives those that were not made.
func (d *Dispatcher) commitApart(ctx context.Context, changes ...*change) (failed []*change, err error) {
	err = d.commit(ctx, changes...)
	if err == nil {
		return nil, nil
	}
	if len(changes) == 1 || ctx.Err() != nil {
		return changes, err
	}
	faults := make([]error, len(changes))
	var apart sync.WaitGroup // at once, for the committer gathers what it can in one transaction
	for i, c := range changes {
		apart.Go(func() { faults[i] = d.commit(ctx, c) })
	}
	apart.Wait()
	for i, c := range changes {
		if faults[i] != nil {
			failed = append(failed, c)
		}
	}
	return failed, errors.Join(faults...)
}

// write makes one step in the transaction.
func (d *Dispatcher) write(tx store.Tx, c *change) error {
	d.commits++
	c.number, c.found, c.moved, c.owed, c.refused = d.commits, false, false, job.None, nil
	var err error
	c.before, err = tx.Job(c.id)
	if errors.Is(err, store.ErrNotFound) {
		c.refused = job.ErrNotFound
		return c.writeAlso(tx)
	}
	if err != nil {
		return err
	}
	c.found = true
	if !c.takes && !d.has(c.before.Shard) {
		c.job, c.refused = c.before, &elsewhereError{id: c.id}
		return nil
	}
	if c.job, c.owed, c.refused = c.step(c.before); c.refused != nil {
		c.job = c.before
		return nil //nolint:nilerr // a refusal is this change's outcome, it must not sink its batch
	}
	if err := d.payProgress(tx, c); err != nil {
		return err
	}
	if c.job, c.owed, err = d.settleNow(c.job, c.owed); err != nil {
		return err
	}
	c.moved = !reflect.DeepEqual(c.before, c.job)
	if c.moved {
		if err := tx.UpdateJob(c.job); err != nil {
			return err
		}
		if c.job.Phase == job.Done && c.before.Phase != job.Done {
			if err := spend(tx, c.job, -returned(c.job)); err != nil {
				return err
			}
		}
		if steps := job.Remember(clock(), c.before, c.job); len(steps) > 0 {
			if err := tx.KeepSteps(c.id, steps); err != nil {
				return err
			}
		}
	}
	if c.owed != job.None && !plantedDrop(c.owed) {
		if err := tx.Owe(c.id, c.owed); err != nil {
			return err
		}
	}
	return c.writeAlso(tx)
}

// settleNow applies the outcome of what a step owes, if that is known already.
func (d *Dispatcher) settleNow(j job.Job, owed job.Message) (job.Job, job.Message, error) {
	for owed != job.None {
		outcome, now := d.deps.Outbox.Decide(j.ID, owed)
		if !now {
			break
		}
		var err error
		if j, owed, err = j.Apply(clock(), outcome); err != nil {
			return j, owed, fmt.Errorf("apply the outcome of job %s: %w", j.ID, err)
		}
	}
	return j, owed, nil
}

func (c *change) writeAlso(tx store.Tx) error {
	if c.also == nil {
		return nil
	}
	return c.also(tx)
}

func (d *Dispatcher) committed(ctx context.Context, changes []*change) {
	now, owed := clock(), false
	d.mu.Lock()
	for _, c := range changes {
		e := c.entry
		if c.entry = nil; e != nil {
			e.pins-- // before apply, which may park it
		}
		if c.found || c.moved {
			d.apply(now, c)
		}
		if e != nil && c.refused != nil {
			e.forgetTold(c)
		}
		if e != nil {
			d.dropBlank(c.id, e)
		}
		owed = owed || c.refused == nil && c.owed != job.None
	}
	d.makeRoom()
	d.mu.Unlock()
	d.signal()
	if owed {
		d.deps.Outbox.Notify()
	}
	for _, c := range changes {
		if c.refused == nil && c.moved {
			d.logStep(ctx, c)
		}
	}
}

// logStep writes the one line that each step of a job has.
func (d *Dispatcher) logStep(ctx context.Context, c *change) {
	j := c.job
	attrs := []slog.Attr{
		slog.String(obs.KeyJobID, j.ID.String()),
		slog.String("from", string(c.before.Phase)),
		slog.String("phase", string(j.Phase)),
		slog.String("status", string(j.Status())),
	}
	if j.Attempt > 0 {
		attrs = append(attrs, slog.Uint64(obs.KeyAttempt, uint64(j.Attempt)), slog.String(obs.KeyMinerID, j.Miner.String()))
	}
	if !j.Failure.IsZero() {
		attrs = append(attrs, slog.String(obs.KeyReason, word(j.Failure.Reason)), slog.String("failure", j.Failure.Message))
	}
	if s := j.Settlement; s != nil {
		attrs = append(attrs, slog.String("paid", s.Paid.String()), slog.Int64(obs.KeyHeight, s.Height))
	}
	d.deps.Log.LogAttrs(ctx, slog.LevelInfo, "job moved", attrs...)
}

// word gives a reason without its prefix, as people see it.
func word(reason coordinatorv1.ErrorReason) string {
	return reason.String()[len("ERROR_REASON_"):]
}
