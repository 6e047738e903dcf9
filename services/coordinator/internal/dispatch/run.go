package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// retryAfter is how long a job is left alone when the store fails it.
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
			d.deps.Log.ErrorContext(ctx, "some jobs cannot be handed out or time out, trying again", obs.KeyError, err)
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
	}
}

// turn does all that is due now and gives when it should be called next although nothing happens;
// zero: never. A job that is at fault keeps no other from its turn; the error says what is to be
// tried again.
func (d *Dispatcher) turn(ctx context.Context) (time.Time, error) {
	now := clock()
	changes, late := d.overdue(ctx, now)
	d.mu.Lock()
	due := d.timers.due(now, d.config.Batch)
	changes = slices.Concat(changes, d.expire(now, due), d.hopeless(now))
	pullsDue := d.planPulls(now)
	decisions := d.scheduler.Next(now, d.config.Batch)
	unread := d.unread(decisions)
	if len(decisions) < d.config.Batch {
		d.lookPast()
	}
	d.mu.Unlock()

	payloads, err := d.readPayloads(ctx, unread)
	for _, decision := range decisions {
		payload, read := payloads[decision.Job]
		if read || !slices.Contains(unread, decision.Job) {
			changes = append(changes, d.hand(decision, payload, read))
		}
	}
	failed, fault := d.commitApart(ctx, changes...)
	refilled, short := d.refill(ctx)
	err = errors.Join(err, late, fault, short)
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
	for _, c := range failed {
		d.setAside(now, c.id)
	}
	for _, id := range unread {
		if _, read := payloads[id]; !read {
			d.setAside(now, id)
		}
	}
	d.sendLate(payloads)
	d.makeRoom()
	if err == nil && len(due)+len(decisions)+refilled > 0 {
		d.signal() // there may be more than a batch, or something to hand out
	}
	next := first(first(d.timers.next(), d.scheduler.Wake()), pullsDue)
	if d.parked > 0 {
		next = first(next, d.sweepAt)
	}
	if len(d.short) > 0 || err != nil {
		next = first(next, now.Add(retryAfter))
	}
	if len(d.tried) > 0 && now.Before(d.gathered) {
		next = first(next, d.gathered)
	}
	return next, err
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
		x.entry.asideUntil = time.Time{}
		j := x.entry.job
		if j.Phase == job.Queued {
			d.scheduler.Enqueue(x.entry.schedulable()) // unless it waits already
		}
		c := &change{id: j.ID, step: expired(now, d.pullTrouble(j))}
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

// setAside leaves a job alone for a while, so that one that the store cannot read or write costs
// the others neither slots nor commits.
func (d *Dispatcher) setAside(now time.Time, id aitbc.JobID) {
	e := d.live[id]
	if e == nil || e.job.ID != id {
		return // it is not stored yet, or done
	}
	e.asideUntil = now.Add(retryAfter)
	d.scheduler.Dequeue(id)
	d.schedule(e)
}

// hopeless gives the changes for jobs that were tried and that no other miner may run.
func (d *Dispatcher) hopeless(now time.Time) []*change {
	if now.Before(d.gathered) {
		return nil
	}
	var changes []*change
	for id, e := range d.tried {
		if len(changes) < d.config.Batch && e.asideUntil.IsZero() && !d.scheduler.Hopeful(e.schedulable()) && !d.othersHave(e.job.Model, e.job.PinnedDigest) {
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
	for id, e := range d.unsent {
		if e.asideUntil.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids
}

// readPayloads reads those of many jobs together, and apart what that did not give: one that cannot be
// read keeps no other.
func (d *Dispatcher) readPayloads(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]job.Payload, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	payloads, err := d.deps.Store.Payloads(ctx, ids)
	if err != nil {
		payloads = make(map[aitbc.JobID]job.Payload, len(ids))
	}
	var faults error
	for _, id := range ids {
		if _, read := payloads[id]; read {
			continue
		}
		p, err := d.deps.Store.Payload(ctx, id)
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("read the payload of job %s: %w", id, err))
			continue
		}
		payloads[id] = p
	}
	return payloads, faults
}
