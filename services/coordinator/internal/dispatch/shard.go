package dispatch

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Every job belongs to a shard, and one replica at a time has a shard: it alone hands its jobs out,
// lets them time out and takes their results. A replica gets the shards of one that has died (Take),
// single jobs that wait where no slot is free (Relieve), and the leases of a miner that comes over
// from another replica (takeLeases). The last two are taken by compare-and-set on the job: whoever had
// it finds that out with its next change and forgets it (loseJob).

// elsewhereError says that another replica has the job.
type elsewhereError struct{ id aitbc.JobID }

// ErrElsewhere matches every refusal of a change because another replica has the job.
var ErrElsewhere = &elsewhereError{}

// Error says so.
func (e *elsewhereError) Error() string {
	return fmt.Sprintf("job %s is another replica's now: try again", e.id)
}

// Is makes all of them equal for errors.Is.
func (*elsewhereError) Is(target error) bool { _, ok := target.(*elsewhereError); return ok }

// Reason gives the class that the API shows.
func (*elsewhereError) Reason() coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED
}

// RetryAfter gives when to come back.
func (*elsewhereError) RetryAfter() time.Duration { return time.Second }

// has reports whether this replica has a shard. It may be called by any goroutine.
func (d *Dispatcher) has(shard int32) bool { return slices.Contains(*d.shards.Load(), shard) }

// Has reports whether this replica has a shard of the jobs.
func (d *Dispatcher) Has(shard int32) bool { return d.has(shard) }

// home is the shard of new jobs.
func (d *Dispatcher) home() int32 { return (*d.shards.Load())[0] }

// restorePage is how many jobs are read at once.
const restorePage = 500

// Take takes in a shard that nobody else has any more: its jobs go on from where they are. A miner
// that holds a lease has job.UnknownGrace to connect. It reads what is under way and how many jobs
// wait, not those jobs; until it is done, changes of the shard's jobs are refused as before.
func (d *Dispatcher) Take(ctx context.Context, shard int32) error {
	busy, err := d.takeIn(ctx, shard)
	if err != nil {
		return err
	}
	// What was read of them may be old: a miner that came here may have brought its leases meanwhile.
	again := make([]*change, len(busy))
	for i, j := range busy {
		again[i] = &change{id: j.ID, step: asItIs}
	}
	return d.commit(ctx, again...)
}

// takeIn is Take without a commit, for New: nobody commits before it has returned, nor has any miner come.
// It gives the jobs that are under way.
func (d *Dispatcher) takeIn(ctx context.Context, shard int32) ([]job.Job, error) {
	if d.has(shard) {
		return nil, nil
	}
	lines, err := d.deps.Store.Lines(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("read what waits in shard %d: %w", shard, err)
	}
	busy, err := d.busy(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("read what is under way in shard %d: %w", shard, err)
	}
	d.mu.Lock()
	shards := append(slices.Clone(*d.shards.Load()), shard)
	d.shards.Store(&shards)
	now := clock()
	if len(lines)+len(busy) > 0 {
		d.gathered = now.Add(job.UnknownGrace)
	}
	for _, j := range busy {
		d.adopt(now, j)
	}
	for _, l := range lines {
		d.adoptLine(shard, l)
	}
	d.mu.Unlock()
	d.signal()
	return busy, nil
}

// asItIs is the step that changes nothing: memory follows what it finds.
func asItIs(j job.Job) (job.Job, job.Message, error) { return j, job.None, nil }

// busy gives the jobs of a shard that are not done and do not wait for a miner: those that miners hold,
// and those of which the ledger is owed a message.
func (d *Dispatcher) busy(ctx context.Context, shard int32) ([]job.Job, error) {
	jobs, err := d.deps.Store.Held(ctx, store.HeldQuery{Shard: shard})
	if err != nil {
		return nil, err
	}
	for after := int64(0); ; {
		page, err := d.deps.Store.Outbox(ctx, after, restorePage)
		if err != nil {
			return nil, err
		}
		for _, owed := range page {
			after = owed.Seq
			if j := owed.Job; j.Shard == shard && (j.Phase == job.Escrowing || j.Phase == job.Settling) {
				jobs = append(jobs, j)
			}
		}
		if len(page) < restorePage {
			return jobs, nil
		}
	}
}

// adopt takes a job from the store in.
func (d *Dispatcher) adopt(now time.Time, j job.Job) {
	e := d.live[j.ID]
	if e != nil && !e.blank {
		return
	}
	e = d.fill(j.ID, e, j.Order)
	e.job = j
	d.rebook(e)
	if j.HasLease() {
		d.takeLease(e)
		e.graceUntil = now.Add(job.UnknownGrace)
		if d.miners[j.Miner] == nil { // until it connects or is forgotten
			m := &miner{id: j.Miner, leases: make(map[aitbc.JobID]*entry)}
			d.miners[j.Miner] = m
			d.awaitMiner(now, m)
		}
		d.miners[j.Miner].leases[j.ID] = e
	}
	d.follow(e)
}

// loseJob forgets a job that another replica has taken. Its miner, if it is still here, is another
// replica's too, and need not be told; who watches it comes back and is led there.
func (d *Dispatcher) loseJob(_ time.Time, e *entry, j job.Job) {
	if before := e.job; before.HasLease() {
		if m := d.miners[before.Miner]; m != nil {
			delete(m.leases, before.ID)
		}
	}
	if e.topic != nil {
		e.topic.Cut(&elsewhereError{id: j.ID})
	}
	d.leave(j.ID, e)
	d.look(laneOf(&j))
}

// loseParked counts a parked job less that another replica has taken: from which of the shards here is
// not known, so it is taken for one of the first line that it may be of.
func (d *Dispatcher) loseParked(j job.Job) {
	for _, shard := range *d.shards.Load() {
		w := d.windows[lineKey{shard, laneOf(&j)}]
		if w == nil || w.parked == 0 || bytes.Compare(j.ID[:], w.read[:]) <= 0 {
			continue
		}
		tokens := w.tokens / int64(w.parked)
		w.parked--
		w.tokens -= tokens
		d.parked--
		if u := d.used[j.Order.Client]; u != nil {
			u.jobs--
			u.tokens -= tokens
		}
		if w.reading() {
			w.moved[j.ID] = true
		}
		d.look(laneOf(&j))
		return
	}
}

// Others is what the miners of other replicas have.
type Others struct {
	// Models are those that they have, with their digests.
	Models map[string][]aitbc.Hash
	// Pullable are those that they lack and may pull, with the shards that their replicas have.
	Pullable map[string][]int32
}

// SetOthers says what the miners of other replicas have.
func (d *Dispatcher) SetOthers(others Others) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others = others
}

// othersHave reports whether a miner of another replica has a model; a zero digest is any.
func (d *Dispatcher) othersHave(model string, digest aitbc.Hash) bool {
	digests, ok := d.others.Models[model]
	return ok && (digest.IsZero() || slices.Contains(digests, digest))
}

// Waiting reports whether jobs wait here that no miner here has a free slot for, as the last turn
// left it.
func (d *Dispatcher) Waiting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.scheduler.Waiting()+d.parked > 0
}

// relieveClients is how many clients of one model are looked at.
const relieveClients = 64

// Relieve takes jobs that wait in shards of others for models that have free slots here and nothing
// to do, as many as there are slots, and one for each of some models that nobody has and that only miners
// here may pull; it gives which it took from where.
func (d *Dispatcher) Relieve(ctx context.Context, shards []int32) (map[int32][]aitbc.JobID, error) {
	d.mu.Lock()
	spare := d.scheduler.Spare()
	pullable := d.pullableHere(shards)
	d.mu.Unlock()
	from := make(map[aitbc.JobID]int32)
	var changes []*change
	take := func(model string, shards []int32, most int) error {
		for _, shard := range shards {
			found, err := d.strangers(ctx, shard, model, most)
			if err != nil {
				return err
			}
			most -= len(found)
			for _, j := range found {
				from[j.ID] = shard
				changes = append(changes, d.taking(j, func(now job.Job) bool { return now.Phase == job.Queued }))
			}
		}
		return nil
	}
	for model, slots := range spare {
		if err := take(model, shards, slots); err != nil {
			return nil, err
		}
	}
	for model, shards := range pullable {
		if err := take(model, shards, 1); err != nil { // one is enough for it to be pulled here
			return nil, err
		}
	}
	if err := d.commit(ctx, changes...); err != nil {
		return nil, err
	}
	took := make(map[int32][]aitbc.JobID)
	for _, c := range changes {
		if c.refused == nil {
			took[from[c.id]] = append(took[from[c.id]], c.id)
		}
	}
	return took, nil
}

// recheckPage is how many jobs are asked about at once.
const recheckPage = 1000

// Recheck forgets the jobs in memory that another replica has taken, as the store says.
func (d *Dispatcher) Recheck(ctx context.Context) error {
	d.mu.Lock()
	ids := make([]aitbc.JobID, 0, len(d.live))
	for id, e := range d.live {
		if e.job.ID == id {
			ids = append(ids, id)
		}
	}
	d.mu.Unlock()
	for page := range slices.Chunk(ids, recheckPage) {
		shards, err := d.deps.Store.Shards(ctx, page)
		if err != nil {
			return err
		}
		var lost []aitbc.JobID
		for id, shard := range shards {
			if !d.has(shard) {
				lost = append(lost, id)
			}
		}
		if err := d.Lost(ctx, lost); err != nil {
			return err
		}
	}
	return nil
}

// Lost looks at jobs that another replica says it has taken.
func (d *Dispatcher) Lost(ctx context.Context, ids []aitbc.JobID) error {
	changes := make([]*change, len(ids))
	for i, id := range ids {
		changes[i] = &change{id: id, step: asItIs, lost: true}
	}
	return d.commit(ctx, changes...)
}

// strangers gives up to limit waiting jobs of a shard, those of a higher priority first, of each client
// the oldest.
func (d *Dispatcher) strangers(ctx context.Context, shard int32, model string, limit int) ([]job.Job, error) {
	var found []job.Job
	for p := aitbc.PriorityHigh; p >= aitbc.PriorityLow && len(found) < limit; p-- {
		more, err := d.strangersOf(ctx, shard, model, p, limit-len(found))
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// strangersOf gives those of one priority.
func (d *Dispatcher) strangersOf(ctx context.Context, shard int32, model string, priority aitbc.Priority, limit int) ([]job.Job, error) {
	clients, err := d.deps.Store.WaitingClients(ctx, store.WaitingClientsQuery{Shard: shard, Model: model, Priority: priority, Limit: relieveClients})
	if err != nil || len(clients) == 0 {
		return nil, err
	}
	var found []job.Job
	share := (limit + len(clients) - 1) / len(clients)
	for _, client := range clients {
		n := min(share, limit-len(found))
		if n <= 0 {
			break
		}
		part, err := d.deps.Store.Waiting(ctx, store.WaitingQuery{Shard: shard, Model: model, Priority: priority, Client: client, Limit: n})
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
	}
	return found, nil
}

// taking gives the change that takes a job into this replica's own shard, if it is still where it was
// seen and as it must be.
func (d *Dispatcher) taking(seen job.Job, still func(job.Job) bool) *change {
	home := d.home()
	return &change{id: seen.ID, takes: true, step: func(j job.Job) (job.Job, job.Message, error) {
		if j.Shard != seen.Shard || !still(j) {
			return j, job.None, &elsewhereError{id: j.ID}
		}
		j.Shard = home
		return j, job.None, nil
	}}
}

// takeLeases takes the leases that a miner holds by the store's word and that are another replica's:
// it is here now.
func (d *Dispatcher) takeLeases(ctx context.Context, id aitbc.AccountID) error {
	held, err := d.deps.Store.Held(ctx, store.HeldQuery{Miner: id})
	if err != nil {
		return fmt.Errorf("read what miner %s holds: %w", id, err)
	}
	var changes []*change
	for _, j := range held {
		if !d.has(j.Shard) {
			changes = append(changes, d.taking(j, func(now job.Job) bool { return now.HeldBy(id, j.Attempt) }))
		}
	}
	return d.commit(ctx, changes...)
}
