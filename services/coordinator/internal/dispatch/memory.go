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

// entry is a live job in memory. It exists from before its insertion is committed until the job is
// done, but for while it is parked (window.go), so that no change of the job finds it missing.
type entry struct {
	timer
	// job is the job as of the change with this number; without an id while it is being submitted or the
	// entry is blank.
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
	// pins is how many changes and readers need it in memory. blank says that nothing is known of the
	// job: it is parked, or not one to be known here; gone, that it was in memory and has left.
	pins  int
	blank bool
	gone  bool
	// topic is what watchers see; nil: nobody watches and no text has come. askedOn is the session in
	// which the miner was asked for the text of the current lease.
	topic   *stream.Topic
	askedOn uint64
	// progress is the highest running statement that was accepted of the current lease; nil: none.
	progress *progress
	// asideUntil is until when the job is left alone, since the store failed it; zero: it is not.
	asideUntil time.Time
	// told is whose hold of the job has ended by its own word, in a change under way: memory may hear first
	// of what came after that.
	told holding
	// graceUntil is until when the lease waits for its miner's stream; zero: the stream is here.
	graceUntil time.Time
}

// holding is a miner's hold of a job: its lease.
type holding struct {
	miner   aitbc.AccountID
	attempt uint32
}

// forgetTold ends that a change which came to nothing has told of the end of its attempt.
func (e *entry) forgetTold(c *change) {
	if c.reported && e.told == c.ends {
		e.told = holding{}
	}
}

func (e *entry) leaseID() string { return e.job.ID.LeaseID(e.job.Attempt) }

// enter makes the entry of a job whose order this is and whose escrow is to be made.
func (d *Dispatcher) enter(id aitbc.JobID, order aitbc.Order) *entry {
	e := d.fill(id, nil, order)
	d.await(e, true)
	return e
}

// fill makes the entry of a job whose order this is, or a blank one into that; its job is still to be set.
func (d *Dispatcher) fill(id aitbc.JobID, e *entry, order aitbc.Order) *entry {
	if e == nil {
		e = &entry{}
		e.timer.entry = e
		d.live[id] = e
	}
	e.blank, e.gone, e.client, e.escrow, e.cost = false, false, order.Client, order.MaxPrice, 1
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
	d.await(e, false)
	d.unbook(e)
	if w := d.windows[lineOf(&e.job)]; w != nil && w.reading() {
		w.moved[id] = true
	}
	delete(d.live, id)
	if e.pins > 0 { // changes are under way, which must not take it for parked
		*e = entry{pins: e.pins, number: e.number, blank: true, gone: true}
		e.timer.entry = e
		d.live[id] = e
	}
}

// await sets whether the job's escrow is not on the ledger yet, and counts what waits for its client.
func (d *Dispatcher) await(e *entry, waits bool) {
	if e.waits == waits {
		return
	}
	e.waits = waits
	if waits {
		d.waiting[e.client] += e.escrow
		return
	}
	if d.waiting[e.client] -= e.escrow; d.waiting[e.client] == 0 {
		delete(d.waiting, e.client)
	}
	close(d.escrowMoved)
	d.escrowMoved = make(chan struct{})
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
	taken := c.takes && c.refused == nil && c.job.Phase != job.Done && d.has(c.job.Shard)
	switch {
	case taken && e == nil, taken && e.blank && c.number > e.number:
		e = d.fill(c.id, e, c.job.Order)
		d.rebook(e)
	case e == nil:
		return
	case e.blank && !e.gone && c.before.Phase != job.Done && d.has(c.before.Shard):
		d.recall(e, c.before, nil)
	case e.blank && !e.gone && c.lost && !d.has(c.before.Shard):
		d.loseParked(c.before)
		return
	case e.blank:
		return
	}
	switch {
	case c.number <= e.number:
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
	if before.Phase == job.Queued && j.Phase != job.Queued {
		defer d.look(laneOf(&j))
	}
	kept := before.HasLease() && j.HasLease() && before.Attempt == j.Attempt
	if before.HasLease() && !kept {
		d.endLease(now, e, before, c.reported || e.told == holding{before.Miner, before.Attempt})
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
	d.await(e, j.Phase == job.Escrowing)
	if j.Phase == job.Done {
		d.leave(j.ID, e)
		return
	}
	e.asideUntil = time.Time{}
	delete(d.tried, j.ID)
	if j.Phase == job.Queued {
		if d.line(e) {
			return
		}
		if !j.Failure.IsZero() && !job.Judge(j.Failure.Reason).Wait {
			d.tried[j.ID] = e
		}
	} else {
		d.scheduler.Dequeue(j.ID)
	}
	if !j.HasLease() {
		e.progress = nil
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
	d.scheduler.Hold(e.job.ID, e.job.Miner, e.job.Model)
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
		Priority: j.Priority,
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
