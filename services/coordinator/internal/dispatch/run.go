package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// retryAfter is how long Run waits when the store fails.
const retryAfter = time.Second

// Run hands out jobs and lets them time out until ctx ends. A store that fails is tried again:
// nothing is lost by waiting.
func (d *Dispatcher) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-timer.C:
		}
		next, err := d.turn(ctx)
		if err != nil && ctx.Err() == nil {
			d.deps.Log.ErrorContext(ctx, "cannot hand out jobs, trying again", obs.KeyError, err)
			next = clock().Add(retryAfter)
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
	}
}

// turn does all that is due now and gives when it should be called next although nothing happens;
// zero: never.
func (d *Dispatcher) turn(ctx context.Context) (time.Time, error) {
	now := clock()
	d.mu.Lock()
	due := d.timers.due(now, d.config.Batch)
	changes := append(d.expire(now, due), d.hopeless()...)
	decisions := d.scheduler.Next(now, d.config.Batch)
	unread := d.unread(decisions)
	d.mu.Unlock()

	payloads, err := d.readPayloads(ctx, unread)
	if err == nil {
		for _, decision := range decisions {
			payload, read := payloads[decision.Job]
			changes = append(changes, d.hand(decision, payload, read))
		}
		err = d.commit(ctx, changes...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range due { // also those whose change came to nothing
		if e := x.entry; e != nil && d.live[e.job.ID] == e {
			d.schedule(e)
		}
	}
	for _, decision := range decisions {
		d.putBack(decision)
	}
	d.sendLate(payloads)
	if err == nil && len(due)+len(decisions) > 0 {
		d.signal() // there may be more than a batch
	}
	return first(d.timers.next(), d.scheduler.Wake()), err
}

// sendLate sends the leases whose payload has been read by now. One whose miner is away is sent
// when that is back.
func (d *Dispatcher) sendLate(payloads map[aitbc.JobID]job.Payload) {
	for id, e := range d.unsent {
		payload, read := payloads[id]
		if !read {
			continue
		}
		delete(d.unsent, id)
		if m := d.miners[e.job.Miner]; m.here() && e.job.HasLease() {
			d.sendWith(m, e, payload)
		}
	}
}

func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expire gives the changes for timers that are due.
func (d *Dispatcher) expire(now time.Time, due []*timer) []*change {
	var changes []*change
	for _, x := range due {
		if x.miner != nil {
			d.forgetMiner(x.miner)
			continue
		}
		j := x.entry.job
		c := &change{id: j.ID, step: func(j job.Job) (job.Job, job.Message, error) { return j.Expired(now) }}
		if grace := x.entry.graceUntil; !grace.IsZero() && !now.Before(grace) {
			c.step = func(current job.Job) (job.Job, job.Message, error) {
				return current.AttemptFailed(now, j.Miner, j.Attempt, job.Failure{
					Reason:  coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST,
					Message: fmt.Sprintf("the miner of attempt %d went away", j.Attempt),
				})
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// hopeless gives the changes for jobs that were tried and that no other miner may run.
func (d *Dispatcher) hopeless() []*change {
	var changes []*change
	for id, e := range d.tried {
		if len(changes) < d.config.Batch && !d.scheduler.Hopeful(e.schedulable()) {
			changes = append(changes, &change{id: id, step: job.Job.GaveUp})
		}
	}
	return changes
}

// unread gives the jobs whose payload must be read before they can be sent.
func (d *Dispatcher) unread(decisions []scheduler.Decision) []aitbc.JobID {
	var ids []aitbc.JobID
	for _, decision := range decisions {
		if e := d.live[decision.Job]; e != nil && e.payload == nil {
			ids = append(ids, decision.Job)
		}
	}
	for id := range d.unsent {
		ids = append(ids, id)
	}
	return ids
}

func (d *Dispatcher) readPayloads(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]job.Payload, error) {
	payloads := make(map[aitbc.JobID]job.Payload, len(ids))
	var faults error
	for _, id := range ids {
		p, err := d.deps.Store.Payload(ctx, id)
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("read the payload of job %s: %w", id, err))
			continue
		}
		payloads[id] = p
	}
	return payloads, faults
}
