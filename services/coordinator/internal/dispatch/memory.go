package dispatch

import (
	"reflect"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// entry is a live job in memory. It exists from before its insertion is committed until it is
// done, so that no change of the job finds it missing.
type entry struct {
	timer
	// job is the job as of the change with this number; without an id while it is being submitted.
	job    job.Job
	number uint64
	// client pays; waits says that its escrow is not on the ledger yet; cost is for its turn.
	client aitbc.AccountID
	escrow aitbc.Amount
	waits  bool
	cost   int
	// tokens is how many its prompt and answer come to at most, 0 for one from before a restart;
	// booked says that it is in its client's usage.
	tokens int64
	booked bool
	// payload is what to run; nil: it is in the store only.
	payload *job.Payload
	// sentOn is the session in which the current lease was sent or listed by the miner.
	sentOn uint64
	// topic is what watchers see; nil: nobody watches and no text has come. askedOn is the session in
	// which the miner was asked for the text of the current lease.
	topic   *stream.Topic
	askedOn uint64
	// asideUntil is until when the job is left alone, since the store failed it; zero: it is not.
	asideUntil time.Time
	// graceUntil is until when the lease waits for its miner's stream; zero: the stream is here.
	graceUntil time.Time
}

func (e *entry) leaseID() string { return e.job.ID.LeaseID(e.job.Attempt) }

// enter makes the entry of a job whose order this is.
func (d *Dispatcher) enter(id aitbc.JobID, order aitbc.Order) *entry {
	e := &entry{client: order.Client, escrow: order.MaxPrice, waits: true, cost: 1}
	e.timer.entry = e
	d.live[id] = e
	d.count(e, e.escrow)
	return e
}

// leave removes a job's entry and all that hangs on it.
func (d *Dispatcher) leave(id aitbc.JobID, e *entry) {
	d.forgetPayload(e)
	e.hideTopic()
	d.timers.stop(&e.timer)
	d.scheduler.Dequeue(id)
	d.scheduler.Release(id)
	delete(d.tried, id)
	delete(d.unsent, id)
	delete(d.live, id)
	d.count(e, -e.escrow)
	d.unbook(clock(), e)
}

// holding is a client's money in its live jobs: on the ledger, or waiting to be.
type holding struct{ escrowed, waiting aitbc.Amount }

// count adds to what the entry's client has in escrow or waiting.
func (d *Dispatcher) count(e *entry, amount aitbc.Amount) {
	h := d.held[e.client]
	if e.waits {
		h.waiting += amount
	} else {
		h.escrowed += amount
	}
	if d.held[e.client] = h; h == (holding{}) {
		delete(d.held, e.client)
	}
}

// keepPayload keeps a payload in memory while there is room.
func (d *Dispatcher) keepPayload(e *entry, p job.Payload) {
	if size := len(p.Prompt); e.payload == nil && d.cached+size <= d.config.PayloadCache {
		d.cached += size
		e.payload = &p
	}
}

func (d *Dispatcher) forgetPayload(e *entry) {
	if e.payload != nil {
		d.cached -= len(e.payload.Prompt)
		e.payload = nil
	}
}

// apply lets memory follow what a committed change has made of its job, or has found, when it was
// refused. A change that is older than what memory has seen, or of a job that is done, says nothing
// new.
func (d *Dispatcher) apply(now time.Time, c *change) {
	e := d.live[c.id]
	switch {
	case e == nil && c.takes && c.refused == nil && c.job.Phase != job.Done && d.has(c.job.Shard):
		e = d.enter(c.id, c.job.Order)
	case e == nil && d.touched != nil:
		d.touched[c.id] = true
		return
	case e == nil, c.number <= e.number:
		return
	case !d.has(c.job.Shard):
		d.loseJob(now, e, c.job)
		return
	case !c.moved && e.job.ID == c.id && reflect.DeepEqual(e.job, c.job):
		e.number = c.number
		return
	}
	before := e.job
	e.job, e.number = c.job, c.number
	e.showMove()
	j := e.job
	kept := before.HasLease() && j.HasLease() && before.Attempt == j.Attempt
	if before.HasLease() && !kept {
		d.endLease(now, e, before, c.reported)
	}
	if j.HasLease() && !kept {
		d.takeLease(e)
		if m := d.miners[j.Miner]; m.here() {
			d.send(m, e)
		} else {
			e.graceUntil = now.Add(job.UnknownGrace)
		}
	}
	if kept && before.StopBy.IsZero() && !j.StopBy.IsZero() {
		if m := d.miners[j.Miner]; m.here() {
			m.link.Revoke(e.leaseID(), j.Failure.Reason, true)
		}
	}
	d.follow(e)
}

// follow brings queue, timers and caches in line with the job.
func (d *Dispatcher) follow(e *entry) {
	j := e.job
	if waits := j.Phase == job.Escrowing; waits != e.waits {
		d.count(e, -e.escrow)
		e.waits = waits
		d.count(e, e.escrow)
		close(d.escrowMoved)
		d.escrowMoved = make(chan struct{})
	}
	if j.Phase == job.Done {
		d.leave(j.ID, e)
		return
	}
	e.asideUntil = time.Time{}
	delete(d.tried, j.ID)
	if j.Phase == job.Queued {
		d.scheduler.Enqueue(e.schedulable())
		if !j.Failure.IsZero() && !job.Judge(j.Failure.Reason).Wait {
			d.tried[j.ID] = e
		}
	} else {
		d.scheduler.Dequeue(j.ID)
	}
	if !j.HasLease() {
		d.scheduler.Release(j.ID)
		delete(d.unsent, j.ID)
		e.graceUntil = time.Time{}
	}
	if j.Phase == job.Settling {
		d.forgetPayload(e)
	}
	d.schedule(e)
}

// schedule sets the job's timer to the first thing that is due, or to the end of its time aside.
func (d *Dispatcher) schedule(e *entry) {
	at := e.job.Deadline()
	if !e.graceUntil.IsZero() && (at.IsZero() || e.graceUntil.Before(at)) {
		at = e.graceUntil
	}
	if !e.asideUntil.IsZero() {
		at = e.asideUntil
	}
	d.timers.set(&e.timer, at)
}

// takeLease notes who has the job; its slot is reserved already unless that was before a restart.
func (d *Dispatcher) takeLease(e *entry) {
	d.scheduler.Dequeue(e.job.ID)
	d.scheduler.Hold(e.job.ID, e.job.Miner)
	if m := d.miners[e.job.Miner]; m != nil {
		m.leases[e.job.ID] = e
	}
}

// endLease frees the slot of a lease that has ended, learns from it, and tells the miner unless it
// was the one to say so.
func (d *Dispatcher) endLease(now time.Time, e *entry, before job.Job, reported bool) {
	j := e.job
	d.scheduler.Release(j.ID)
	e.graceUntil, e.sentOn = time.Time{}, 0
	m := d.miners[before.Miner]
	if m != nil {
		delete(m.leases, j.ID)
	}
	if c := j.Completion; c != nil {
		d.learnUsual(j.Model, time.Duration(c.MeteredUS)*time.Microsecond)
		report := scheduler.Report{Model: j.Model, Succeeded: true}
		if c.MeteredUS > 0 {
			report.TokensPerSecond = float64(c.Statement.OutputTokens) / (time.Duration(c.MeteredUS) * time.Microsecond).Seconds()
		}
		d.scheduler.Report(now, before.Miner, report)
	} else if j.Outcome != job.StatusCancelled && job.Judge(j.Failure.Reason).Blame {
		d.scheduler.Report(now, before.Miner, scheduler.Report{Model: j.Model})
	}
	if reported || !m.here() {
		return
	}
	reason := j.Failure.Reason
	if j.Failure.IsZero() { // its result came another way
		reason = coordinatorv1.ErrorReason_ERROR_REASON_LEASE_NOT_HELD
	}
	m.link.Revoke(j.ID.LeaseID(before.Attempt), reason, false)
	m.stopping++ // another lease before the engine has stopped would be refused
	d.describe(now, m)
}

// schedulable gives what the scheduler needs of the job.
func (e *entry) schedulable() scheduler.Job {
	j := e.job
	return scheduler.Job{
		ID:       j.ID,
		Client:   j.Order.Client,
		Model:    j.Model,
		Digest:   j.PinnedDigest,
		Price:    j.Order.Price,
		Excluded: j.Excluded,
		Cost:     e.cost,
	}
}

const (
	// costTokens is how many tokens are one unit of a job's cost for its client's turn.
	costTokens = 1024
	// bytesPerToken is a usual ratio of text to tokens.
	bytesPerToken = 4
	// defaultPredict is how long an answer may be when the client does not say.
	defaultPredict = 500
)

// costOf estimates the work of a job by the tokens it comes to.
func costOf(tokens int64) int { return 1 + int(tokens/costTokens) }

// tokensOf gives how many tokens a job's prompt and its longest answer come to.
func tokensOf(p job.Payload) int64 {
	predict := defaultPredict
	if p.Options.NumPredict != nil {
		predict = int(*p.Options.NumPredict)
	}
	return int64(len(p.Prompt)/bytesPerToken + predict)
}
