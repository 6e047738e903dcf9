package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// However many jobs wait, only the first of each line (a client's jobs of a lane, in one shard) are in
// memory: the line's window. A job that comes to the end of a full window is parked: memory forgets it
// but for the number of such jobs. When half of the window has gone, the next are read from the store.
//
// So a live job of a shard that is here and that has no entry is parked. Whoever changes a job makes an
// entry for it first, an empty one if it is parked (pin); the change then tells what the job was and is
// (recall). Therefore no change of a parked job is missed, in whatever order the changes return.
//
// What a window has read is behind it: a job that joins its line with an earlier id stays in memory, and
// so does every job that joins it during a read. How many jobs are parked is exact unless other replicas
// took some; the read that finds the end of the line puts that right.

const (
	// narrowWindow is how many jobs of a line are in memory when very many wait there already.
	narrowWindow = 4
	// refills is how many windows are read in a turn.
	refills = 16
	// sweepEvery is how often the store is asked for parked jobs that have waited long enough.
	sweepEvery = time.Second
)

// lane is what jobs share that go one after the other: they are of one client.
type lane struct {
	model    string
	priority aitbc.Priority
	client   aitbc.AccountID
}

// lineKey names a line: the part of a lane that is in a shard.
type lineKey struct {
	shard int32
	lane
}

func laneOf(j *job.Job) lane { return lane{j.Model, j.Priority, j.Order.Client} }

func lineOf(j *job.Job) lineKey { return lineKey{j.Shard, laneOf(j)} }

// inLine gives how many jobs of a lane wait in memory.
func (d *Dispatcher) inLine(l lane) int { return d.scheduler.InLine(l.model, l.priority, l.client) }

// window is what is known of the parked jobs of a line. It is there while there may be some.
type window struct {
	key lineKey
	// parked is how many there are, tokens what they come to, as far as that is known.
	parked int
	tokens int64
	// read is up to where the line has been read; newest is the last id that was parked.
	read   aitbc.JobID
	newest aitbc.JobID
	// moved are jobs that came into memory or left it while the line is being read; nil: it is not.
	moved map[aitbc.JobID]bool
}

func (w *window) reading() bool { return w.moved != nil }

// pin gets an entry for a job that is about to be changed, and keeps it in memory until unpin.
func (d *Dispatcher) pin(id aitbc.JobID) *entry {
	e := d.live[id]
	if e == nil {
		e = d.fill(id, nil, aitbc.Order{})
		e.blank = true
	}
	e.pins++
	return e
}

// dropBlank removes an entry that is blank after its last pin: it stands for no job to be known.
func (d *Dispatcher) dropBlank(id aitbc.JobID, e *entry) {
	if e.pins == 0 && e.blank && d.live[id] == e {
		delete(d.live, id)
	}
}

func (d *Dispatcher) pinAll(changes []*change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range changes {
		c.entry = d.pin(c.id)
		if c.reported {
			c.entry.told = c.ends
		}
	}
}

// unpinAll ends the pins of changes of which nothing was written.
func (d *Dispatcher) unpinAll(changes []*change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range changes {
		c.entry.pins--
		c.entry.forgetTold(c)
		d.dropBlank(c.id, c.entry)
	}
}

// windowSize is how many jobs of a line are to be in memory.
func (d *Dispatcher) windowSize() int {
	if d.scheduler.Waiting() < d.config.MaxLive/2 {
		return d.config.Window
	}
	return min(narrowWindow, d.config.Window)
}

// line puts a queued job into its line: among those that can be handed out, or, behind a full window,
// out of memory.
func (d *Dispatcher) line(e *entry) (parked bool) {
	j := &e.job
	key := lineOf(j)
	w := d.windows[key]
	switch {
	case e.pins > 0 || e.topic != nil || j.Attempt > 0 || d.scheduler.Waits(j.ID):
	case w == nil && d.inLine(key.lane) >= d.windowSize():
		w = &window{key: key, read: before(j.ID)}
		d.open(w)
		d.park(w, e)
		return true
	case w != nil && !w.reading() && bytes.Compare(j.ID[:], w.read[:]) > 0:
		d.park(w, e)
		return true
	}
	d.scheduler.Enqueue(e.schedulable())
	return false
}

func (d *Dispatcher) open(w *window) {
	d.windows[w.key] = w
	d.deep[w.key.model]++
}

// before gives the id that comes before another.
func before(id aitbc.JobID) aitbc.JobID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]--; id[i] != 0xff {
			break
		}
	}
	return id
}

// park takes a waiting job out of memory. Its client's usage stays as it is.
func (d *Dispatcher) park(w *window, e *entry) {
	id := e.job.ID
	w.parked++
	w.tokens += e.tokens
	if bytes.Compare(id[:], w.newest[:]) > 0 {
		w.newest = id
	}
	if d.parked++; d.parked == 1 {
		d.sweepAt = clock().Add(sweepEvery)
	}
	d.forgetPayload(e)
	d.timers.stop(&e.timer)
	delete(d.live, id)
	d.look(w.key.lane)
}

// recall makes the entry of a job that was parked, as it was, or a blank one into that; its job is still
// to be set. Without a payload its tokens are the mean of its line's.
func (d *Dispatcher) recall(e *entry, j job.Job, payload *job.Payload) *entry {
	e = d.fill(j.ID, e, j.Order)
	w := d.windows[lineOf(&j)]
	if w == nil || w.parked == 0 {
		d.rebook(e) // it was not known: its insertion was taken for failed
		return e
	}
	if e.tokens = w.tokens / int64(w.parked); payload != nil {
		e.tokens = min(tokensOf(*payload), w.tokens)
		e.cost = costOf(e.tokens)
		d.keepPayload(e, *payload)
	}
	e.booked = true
	w.parked--
	w.tokens -= e.tokens
	d.parked--
	if w.reading() {
		w.moved[j.ID] = true
	}
	return e
}

// adoptLine takes in that jobs wait in a line, all of them parked. Their queue timeouts go on from where
// they were.
func (d *Dispatcher) adoptLine(shard int32, l store.Line) {
	w := &window{key: lineKey{shard, lane{l.Model, l.Priority, l.Client}}, parked: l.Jobs, newest: l.Newest}
	d.open(w)
	d.parked += w.parked
	d.usageOf(l.Client).jobs += w.parked
	d.look(w.key.lane)
}

// look notes the windows of a lane, in all shards, that should be read on.
func (d *Dispatcher) look(l lane) {
	if len(d.windows) == 0 || 2*d.inLine(l) >= d.windowSize() {
		return
	}
	for _, shard := range *d.shards.Load() {
		if w := d.windows[lineKey{shard, l}]; w != nil {
			d.short[w.key] = w
		}
	}
}

// lookPast notes windows to be read on although they are full: of models that have free slots, for what is
// in memory is not for those who have them.
func (d *Dispatcher) lookPast() {
	if len(d.windows) == 0 || d.scheduler.Waiting() >= d.config.MaxLive/2 {
		return
	}
	for _, model := range d.scheduler.Free() {
		if d.deep[model] == 0 {
			continue
		}
		for key, w := range d.windows {
			if len(d.short) == refills {
				return
			}
			if key.model == model {
				d.short[key] = w
			}
		}
	}
}

// refill reads windows on that are short, and gives how many it tried.
func (d *Dispatcher) refill(ctx context.Context) (tried int, err error) {
	d.mu.Lock()
	var reading []*window
	for key, w := range d.short {
		if len(reading) == refills {
			break
		}
		delete(d.short, key)
		w.moved = make(map[aitbc.JobID]bool)
		reading = append(reading, w)
	}
	size := d.config.Window
	if d.windowSize() < size {
		size = narrowWindow
	}
	d.mu.Unlock()
	var faults error
	for _, w := range reading {
		if err := d.readOn(ctx, w, size); err != nil {
			faults = errors.Join(faults, err)
		}
	}
	return len(reading), faults
}

// readOn takes the next jobs of a line into memory.
func (d *Dispatcher) readOn(ctx context.Context, w *window, size int) error {
	found, err := d.deps.Store.Waiting(ctx, store.WaitingQuery{
		Shard: w.key.shard, Model: w.key.model, Priority: w.key.priority, Client: w.key.client, After: w.read, Limit: size,
	})
	var payloads map[aitbc.JobID]job.Payload
	var unread error // it delays the jobs at fault, when their turn comes, not the line
	if err == nil {
		payloads, unread = d.deps.Store.Payloads(ctx, d.absent(found))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	moved := w.moved
	w.moved = nil
	if err != nil {
		d.short[w.key] = w
		return fmt.Errorf("read the waiting jobs of %s for %s: %w", w.key.client, w.key.model, err)
	}
	for _, j := range found {
		w.read = j.ID
		e := d.live[j.ID]
		if moved[j.ID] || e != nil && !e.blank {
			continue
		}
		var payload *job.Payload
		if p, read := payloads[j.ID]; read {
			payload = &p
		}
		e = d.recall(e, j, payload)
		e.job = j
		d.follow(e)
	}
	if len(found) < size {
		d.close(w)
	} else {
		d.look(w.key.lane)
	}
	return unread
}

// absent gives the ids of jobs that have no entry.
func (d *Dispatcher) absent(jobs []job.Job) []aitbc.JobID {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make([]aitbc.JobID, 0, len(jobs))
	for _, j := range jobs {
		if e := d.live[j.ID]; e == nil || e.blank {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// close ends a window behind which nothing waits. What it still counts are jobs that others took.
func (d *Dispatcher) close(w *window) {
	if u := d.used[w.key.client]; u != nil {
		u.jobs -= w.parked
		u.tokens -= w.tokens
	}
	d.parked -= w.parked
	delete(d.windows, w.key)
	delete(d.short, w.key)
	if d.deep[w.key.model]--; d.deep[w.key.model] == 0 {
		delete(d.deep, w.key.model)
	}
}

// overdue gives the changes for parked jobs that have waited long enough. Those in memory have timers.
func (d *Dispatcher) overdue(ctx context.Context, now time.Time) ([]*change, error) {
	d.mu.Lock()
	// Each comes into memory until its refund is made.
	room := min(d.config.Batch, d.config.MaxLive-len(d.live))
	skip := d.parked == 0 || now.Before(d.sweepAt) || room <= 0
	d.mu.Unlock()
	if skip {
		return nil, nil
	}
	var changes []*change
	var faults error
	more := false
	for _, shard := range *d.shards.Load() {
		due, err := d.deps.Store.Due(ctx, shard, now, room)
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("read the jobs of shard %d that have waited long enough: %w", shard, err))
			continue
		}
		more = more || len(due) == room
		for _, id := range d.absent(due) {
			changes = append(changes, &change{id: id, step: func(j job.Job) (job.Job, job.Message, error) { return j.Expired(now) }})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sweepAt = now.Add(sweepEvery); more && len(changes) > 0 {
		d.sweepAt = now
	}
	return changes, faults
}

// present brings a live job into memory and keeps it there until release is called.
func (d *Dispatcher) present(ctx context.Context, id aitbc.JobID) (release func(), err error) {
	d.mu.Lock()
	e := d.pin(id)
	d.mu.Unlock()
	release = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		e.pins--
		d.dropBlank(id, e)
	}
	if err := d.commit(ctx, &change{id: id, step: asItIs}); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// place gives where a queued job stands; false: it does not wait here. That of a parked one is estimated
// by its age: as if its line had grown evenly.
func (d *Dispatcher) place(now time.Time, j *job.Job) (scheduler.Place, bool) {
	if place, waits := d.scheduler.Place(now, j.ID, d.parkedOf(j.Model)); waits {
		return place, true
	}
	w := d.windows[lineOf(j)]
	if w == nil || j.Phase != job.Queued {
		return scheduler.Place{}, false
	}
	ahead := d.inLine(w.key.lane) + int(part(j.ID, w.read, w.newest)*float64(w.parked))
	return d.placeBehind(now, w.key.lane, ahead), true
}

// nextPlace gives where the next job of a lane would stand.
func (d *Dispatcher) nextPlace(now time.Time, l lane) scheduler.Place {
	return d.placeBehind(now, l, d.inLine(l)+d.parkedOf(l.model)(l.priority, l.client))
}

func (d *Dispatcher) placeBehind(now time.Time, l lane, ahead int) scheduler.Place {
	return d.scheduler.PlaceBehind(now, scheduler.Job{Model: l.model, Priority: l.priority, Client: l.client}, ahead, d.parkedOf(l.model))
}

// parkedOf gives how many jobs of a client, a priority and this model are parked.
func (d *Dispatcher) parkedOf(model string) scheduler.More {
	return func(priority aitbc.Priority, client aitbc.AccountID) (n int) {
		for _, shard := range *d.shards.Load() {
			if w := d.windows[lineKey{shard, lane{model, priority, client}}]; w != nil {
				n += w.parked
			}
		}
		return n
	}
}

// part gives how far between two ids a third was made, 0 to 1.
func part(id, from, to aitbc.JobID) float64 {
	span := to.Time().Sub(from.Time())
	if span <= 0 {
		return 1
	}
	return min(max(id.Time().Sub(from.Time()).Seconds()/span.Seconds(), 0), 1)
}
