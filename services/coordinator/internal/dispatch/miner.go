package dispatch

import (
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// ErrReplaced says that a session is no longer its miner's: it must end.
var ErrReplaced = errors.New("a newer session of the miner has replaced this one")

// Registration is a miner that has proven its key.
type Registration struct {
	// ID is its account, Key its public key, Stake its stake by the ledger.
	ID    aitbc.AccountID
	Key   ed25519.PublicKey
	Stake aitbc.Amount
	// Link is the way to it.
	Link Link
}

// miner is a miner with a session, or whose session ended less than job.UnknownGrace ago.
type miner struct {
	timer   // when it is forgotten; set only while it has no session
	id      aitbc.AccountID
	key     ed25519.PublicKey
	stake   aitbc.Amount
	low     bool // that is too little to be given work
	since   time.Time
	session uint64
	// link is nil while there is no session. spoken: the session's first state has come, and from
	// then on leases are sent.
	link   Link
	spoken bool
	state  MinerState
	// strangers is how many leases it runs that it does not hold, by its last state; stopping how
	// many were revoked since, which keep their slots busy until it says otherwise.
	strangers int
	stopping  int
	// leases are the jobs it holds.
	leases map[aitbc.JobID]*entry
	// asked is the model that it was asked to pull; empty: none. faults are its last failures, by model.
	asked  string
	faults map[string]pullFault
}

// here reports whether the miner can be talked to.
func (m *miner) here() bool { return m != nil && m.link != nil && m.spoken }

// MinerConnected opens a session and gives its number. An older session of the miner is ended.
// Nothing is sent before its first MinerState.
func (d *Dispatcher) MinerConnected(r Registration) uint64 {
	now := clock()
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.miners[r.ID]
	if m == nil {
		m = &miner{id: r.ID, leases: make(map[aitbc.JobID]*entry)}
		d.miners[r.ID] = m
	}
	if m.link != nil {
		m.link.End()
	}
	d.timers.stop(&m.timer)
	d.sessions++
	m.key, m.stake, m.low, m.since = r.Key, r.Stake, false, now
	m.session, m.link, m.spoken = d.sessions, r.Link, false
	return m.session
}

// MinerStake takes in what a miner's stake is now, and whether that is enough to be given work. Leases
// that it holds go on. What is said of a session that has been replaced changes nothing.
func (d *Dispatcher) MinerStake(id aitbc.AccountID, session uint64, stake aitbc.Amount, enough bool) {
	now := clock()
	d.mu.Lock()
	m := d.miners[id]
	if m == nil || m.session != session || (m.stake == stake && m.low == !enough) {
		d.mu.Unlock()
		return
	}
	m.stake, m.low = stake, !enough
	if m.here() { // or its first state describes it
		d.describe(now, m)
	}
	d.mu.Unlock()
	d.signal()
}

// MinerState takes in what a miner says of itself and brings both sides in line: leases that it
// should run and does not know are sent, what it lists and does not hold is revoked. Saying the
// same again changes nothing. Errors: ErrReplaced, the store's.
func (d *Dispatcher) MinerState(ctx context.Context, id aitbc.AccountID, session uint64, s MinerState) error {
	for _, model := range s.Models {
		model.Name = FullName(model.Name)
	}
	s.Pullable = pullableOf(s)
	if d.deps.Takes && !d.hasSpoken(id, session) {
		if err := d.takeLeases(ctx, id); err != nil {
			return err
		}
	}
	now := clock()
	d.mu.Lock()
	m := d.miners[id]
	if m == nil || m.session != session {
		d.mu.Unlock()
		return ErrReplaced
	}
	first := !m.spoken
	m.state, m.spoken = s, true
	listed := make(map[aitbc.JobID]uint32, len(s.Running)+len(s.Finished))
	strangers := d.match(m, listed)
	changes := d.meet(m, listed, first)
	m.strangers, m.stopping = countRunning(s.Running, strangers), 0
	same := !d.describe(now, m) && !first && len(m.leases) == 0 && m.asked == ""
	d.hearPulls(now, m, first)
	d.mu.Unlock()
	if !same { // an idle miner's heartbeat leaves Run asleep
		d.signal()
	}
	if err := d.commit(ctx, changes...); err != nil {
		return err
	}
	return d.refuseStrangers(ctx, id, session, strangers)
}

func (d *Dispatcher) hasSpoken(id aitbc.AccountID, session uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.miners[id]
	return m != nil && m.session == session && m.spoken
}

// lease names a lease that a miner lists.
type lease struct {
	job     aitbc.JobID
	attempt uint32
	text    string
}

// match sorts what the miner lists into leases that it holds, which it adds to listed, and others.
func (d *Dispatcher) match(m *miner, listed map[aitbc.JobID]uint32) (strangers []lease) {
	for _, text := range slices.Concat(m.state.Running, m.state.Finished) {
		id, attempt, err := aitbc.ParseLeaseID(text)
		if err == nil && m.leases[id] != nil && m.leases[id].job.HeldBy(m.id, attempt) {
			listed[id] = attempt
			continue
		}
		strangers = append(strangers, lease{job: id, attempt: attempt, text: text})
	}
	return strangers
}

// meet goes through the leases that the miner holds: its stream is back, and it may have to hear
// of them.
func (d *Dispatcher) meet(m *miner, listed map[aitbc.JobID]uint32, first bool) []*change {
	var changes []*change
	for id, e := range m.leases {
		_, known := listed[id]
		switch {
		case known:
			e.sentOn = m.session
			if first && !e.job.StopBy.IsZero() {
				m.link.Revoke(e.leaseID(), e.job.Failure.Reason, true)
			}
			if e.topic != nil {
				d.ask(m, e, e.topic.Len())
			}
		case e.sentOn != m.session:
			d.send(m, e)
		}
		if !e.graceUntil.IsZero() {
			e.graceUntil = time.Time{}
			d.schedule(e)
		}
		if e.job.Phase == job.Unknown {
			changes = append(changes, &change{id: id, step: job.Job.Found})
		}
	}
	return changes
}

// send hands the current lease of a job over, at once or, when its payload is not in memory, by
// way of Run. A job that is being stopped is not begun.
func (d *Dispatcher) send(m *miner, e *entry) {
	if !e.job.StopBy.IsZero() {
		return
	}
	if e.payload == nil {
		d.unsent[e.job.ID] = e
		return
	}
	d.sendWith(m, e, *e.payload)
}

func (d *Dispatcher) sendWith(m *miner, e *entry, payload job.Payload) {
	e.sentOn, e.askedOn = m.session, 0
	crash.At("coordinator/hand-over/before")
	m.link.Lease(Handover{Job: e.job, Payload: payload})
	crash.At("coordinator/hand-over/after")
	d.ask(m, e, 0) // a lease that is sent again may be run again, with another answer
}

func countRunning(running []string, strangers []lease) int {
	n := 0
	for _, l := range strangers {
		if slices.Contains(running, l.text) {
			n++
		}
	}
	return n
}

// describe tells the scheduler what the miner is like now, and reports whether it did not know that. Leases
// that it runs and does not hold take its slots too.
func (d *Dispatcher) describe(now time.Time, m *miner) (changed bool) {
	described := scheduler.Miner{
		ID:          m.id,
		Stake:       m.stake,
		Understaked: m.low,
		Slots:       m.state.Slots,
		Busy:        m.strangers + m.stopping,
		Floor:       m.state.PriceFloor,
		Draining:    m.state.Draining,
		Away:        m.link == nil,
		Pullable:    m.state.Pullable,
	}
	for _, model := range m.state.Models {
		digest, err := aitbc.ParseHash(model.GetDigest())
		if err != nil {
			continue // without a digest nobody could say later what has run
		}
		described.Models = append(described.Models, scheduler.Model{
			Name: model.GetName(), Digest: digest, Warm: model.GetWarm(), Slots: int(model.GetSlots()),
		})
		if d.models[model.GetName()].IsZero() {
			d.models[model.GetName()] = now
		}
	}
	changed = d.scheduler.SetMiner(described)
	d.forgetModels()
	return changed
}

// forgetModels drops when a model was first seen that nobody has any more: names come from miners,
// and there is no end of them.
func (d *Dispatcher) forgetModels() {
	if len(d.models) > d.scheduler.Models() {
		maps.DeleteFunc(d.models, func(name string, _ time.Time) bool { return !d.scheduler.Has(name, aitbc.Hash{}) })
	}
}

// refuseStrangers revokes leases that a miner lists and does not hold, but for those whose result
// was accepted: the miner will hear so when it sends that again.
func (d *Dispatcher) refuseStrangers(ctx context.Context, id aitbc.AccountID, session uint64, strangers []lease) error {
	var refused []string
	for _, l := range strangers {
		accepted, err := d.accepted(ctx, id, l)
		if err != nil {
			return err
		}
		if !accepted {
			refused = append(refused, l.text)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.miners[id]
	if m == nil || m.session != session || m.link == nil {
		return nil
	}
	for _, text := range refused {
		m.link.Revoke(text, coordinatorv1.ErrorReason_ERROR_REASON_LEASE_NOT_HELD, false)
	}
	return nil
}

// accepted reports whether the result of a lease was accepted, or the lease is held after all.
func (d *Dispatcher) accepted(ctx context.Context, id aitbc.AccountID, l lease) (bool, error) {
	if l.attempt == 0 {
		return false, nil // not a lease's id
	}
	j, err := d.read(ctx, l.job)
	if errors.Is(err, job.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return j.HeldBy(id, l.attempt) || hasResultOf(j, id, l.attempt), nil
}

// hasResultOf reports whether the job's accepted result is that of this attempt.
func hasResultOf(j job.Job, id aitbc.AccountID, attempt uint32) bool {
	return j.Completion != nil && j.Miner == id && j.Completion.Statement.Attempt == attempt
}

// MinerGone ends a session. What the miner holds becomes unknown; it has job.UnknownGrace to come
// back; one that drained and holds nothing will not, and is forgotten at once. A session that was
// replaced ends without notice.
func (d *Dispatcher) MinerGone(ctx context.Context, id aitbc.AccountID, session uint64) error {
	now := clock()
	d.mu.Lock()
	m := d.miners[id]
	if m == nil || m.session != session || m.link == nil {
		d.mu.Unlock()
		return nil
	}
	m.link, m.spoken = nil, false
	if m.state.Draining && len(m.leases) == 0 && len(m.state.Running) == 0 { // it has said goodbye
		d.forgetMiner(m)
		d.mu.Unlock()
		d.signal() // a job may have hoped for it
		return nil
	}
	d.awaitMiner(now, m)
	var changes []*change
	for jobID, e := range m.leases {
		e.graceUntil = now.Add(job.UnknownGrace)
		d.schedule(e)
		changes = append(changes, &change{id: jobID, step: job.Job.Lost})
	}
	m.strangers, m.stopping = 0, 0
	d.describe(now, m)
	d.mu.Unlock()
	d.signal()
	return d.commit(context.WithoutCancel(ctx), changes...) // the session's own context has ended
}

// awaitMiner sets the time until which a miner without a session is remembered: as long as its
// leases are.
func (d *Dispatcher) awaitMiner(now time.Time, m *miner) {
	m.timer.miner = m
	d.timers.set(&m.timer, now.Add(job.UnknownGrace))
}

// forgetMiner drops a miner that has left.
func (d *Dispatcher) forgetMiner(m *miner) {
	d.dropPull(m)
	d.scheduler.DropMiner(m.id)
	delete(d.miners, m.id)
	d.forgetModels()
}
