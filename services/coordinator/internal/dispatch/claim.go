package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Claim hands one particular queued job to the miner that asks for it and gives the job with its
// lease, which is also sent as any other. Claiming a job that the miner holds gives the same.
// Errors: JOB_NOT_FOUND; ASSIGNMENT_MISMATCH, when it is another job than the owner believes;
// WRONG_STATE, when it does not wait or this miner may not have it.
func (d *Dispatcher) Claim(ctx context.Context, miner aitbc.AccountID, c Claim) (job.Job, error) {
	j, err := d.read(ctx, c.JobID)
	if err != nil {
		return job.Job{}, err
	}
	payload, err := d.deps.Store.Payload(ctx, c.JobID)
	if errors.Is(err, store.ErrNotFound) {
		return job.Job{}, job.ErrNotFound
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("read the payload of job %s: %w", c.JobID, err)
	}
	if c.Type != j.Type || FullName(c.Model) != j.Model || c.Prompt != payload.Prompt {
		return job.Job{}, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_ASSIGNMENT_MISMATCH, "type, prompt or model is not that of job %s", c.JobID)
	}
	if j.HeldBy(miner, j.Attempt) {
		return j, nil
	}
	release, err := d.present(ctx, j.ID)
	if err != nil {
		return job.Job{}, err
	}
	defer release()
	decision, err := d.take(miner, j.ID)
	if err != nil {
		return job.Job{}, err
	}
	claimed, err := d.do(ctx, d.hand(decision, payload, true))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.putBack(decision)
	return claimed, err
}

// take reserves a slot of the miner for the job.
func (d *Dispatcher) take(miner aitbc.AccountID, id aitbc.JobID) (scheduler.Decision, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	decision, obstacles, ok := d.scheduler.Claim(clock(), id, miner)
	if ok {
		return decision, nil
	}
	if len(obstacles) == 0 {
		return decision, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, "job %s is not waiting for a miner", id)
	}
	words := make([]string, len(obstacles))
	for i, o := range obstacles {
		words[i] = string(o)
	}
	return decision, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, "the miner may not have job %s: %s", id, strings.Join(words, ", "))
}

// hand makes the change that carries a decision out. A payload that was read is kept for its
// sending while there is room.
func (d *Dispatcher) hand(decision scheduler.Decision, payload job.Payload, read bool) *change {
	now := clock()
	d.mu.Lock()
	var j job.Job // none, when it has ended meanwhile: then its step is refused
	if e := d.live[decision.Job]; e != nil {
		j = e.job
		if read && j.Phase == job.Queued {
			d.keepPayload(e, payload)
		}
		d.decide(now, j, decision)
	}
	d.mu.Unlock()
	return &change{id: decision.Job, step: d.leaseStep(now, j, decision.Miner, decision.Digest)}
}

// putBack makes a job wait again whose decision was not carried out. For one that was, or that has
// moved on otherwise, it does nothing.
func (d *Dispatcher) putBack(decision scheduler.Decision) {
	e := d.live[decision.Job]
	if e == nil || !e.job.HasLease() {
		d.scheduler.Release(decision.Job)
	}
	if e != nil && e.job.Phase == job.Queued {
		d.scheduler.Enqueue(e.schedulable())
	}
}
