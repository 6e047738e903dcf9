package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// Settle applies what became of messages to the ledger, all in one commit. On an error nothing was
// written, or some jobs are another replica's (ErrElsewhere), and the same outcomes must come again;
// outcomes that come again change nothing.
func (d *Dispatcher) Settle(ctx context.Context, outcomes []job.Outcome) error {
	now := clock()
	changes := make([]*change, len(outcomes))
	var decisions []scheduler.Decision
	for i, o := range outcomes {
		c := &change{
			id:   o.JobID,
			step: func(j job.Job) (job.Job, job.Message, error) { return j.Apply(now, o) },
			also: func(tx store.Tx) error { return tx.Paid(o.JobID, o.Kind) },
		}
		if decision, lease := d.atOnce(now, d.escrowed(now, o)); lease != nil {
			decisions = append(decisions, *decision)
			c.step = func(j job.Job) (job.Job, job.Message, error) {
				next, owed, err := j.Apply(now, o)
				if err == nil && owed == job.None {
					next = lease(next)
				}
				return next, owed, err
			}
		}
		changes[i] = c
	}
	err := d.commit(ctx, changes...)
	d.mu.Lock()
	for _, decision := range decisions {
		d.putBack(decision)
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	var elsewhere error
	for i, c := range changes {
		if errors.Is(c.refused, ErrElsewhere) {
			elsewhere = c.refused
			continue
		}
		if c.refused != nil { // it stays in the outbox: a fault of ours, and a human must look
			d.deps.Log.ErrorContext(ctx, "an outcome does not fit its job", obs.KeyJobID, c.id.String(),
				"kind", string(outcomes[i].Kind), obs.KeyError, c.refused)
		}
	}
	return elsewhere
}

// escrowed gives the job as it will be once its escrow's outcome is applied; no job: it is about
// something else, or the job is not in memory.
func (d *Dispatcher) escrowed(now time.Time, o job.Outcome) job.Job {
	if o.Kind != job.SubmitJob {
		return job.Job{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.live[o.JobID]
	if e == nil || e.job.ID != o.JobID || e.job.Phase != job.Escrowing {
		return job.Job{}
	}
	next, owed, err := e.job.Apply(now, o)
	if err != nil || owed != job.None {
		return job.Job{}
	}
	return next
}
