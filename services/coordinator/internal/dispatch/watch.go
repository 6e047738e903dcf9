package dispatch

import (
	"context"
	"errors"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// Chunk takes a piece of a running attempt's answer, which has offset bytes before it. Only who
// holds the attempt is listened to; pieces of others come late and say nothing.
func (d *Dispatcher) Chunk(miner aitbc.AccountID, id aitbc.JobID, attempt uint32, offset int64, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.live[id]
	if e == nil || !e.job.HeldBy(miner, attempt) {
		return
	}
	if d.topicOf(e).Append(attempt, offset, text) {
		e.askedOn = 0
		d.ask(d.miners[miner], e, e.topic.Len())
	}
}

// Watch follows a job, whatever its state, from where the cursor is. key is whose watcher it is,
// for the limits. The caller closes the watcher. Errors: JOB_NOT_FOUND, RATE_LIMITED.
func (d *Dispatcher) Watch(ctx context.Context, id aitbc.JobID, key string, after stream.Cursor) (*stream.Watcher, error) {
	result := func(ctx context.Context) (string, error) {
		text, err := d.deps.Store.Result(ctx, id)
		if errors.Is(err, store.ErrNotFound) { // deleted since
			return "", nil
		}
		return text, err
	}
	if w, live, err := d.watchLive(id, key, after, result); live {
		return w, err
	}
	j, err := d.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if j.Phase != job.Done && d.has(j.Shard) { // it is parked, or was a moment ago
		release, err := d.present(ctx, id)
		if err != nil {
			return nil, err
		}
		defer release()
		if w, live, err := d.watchLive(id, key, after, result); live {
			return w, err
		}
		if j, err = d.read(ctx, id); err != nil {
			return nil, err
		}
	}
	return d.hub.Topic(j).Watch(key, after, result)
}

func (d *Dispatcher) watchLive(id aitbc.JobID, key string, after stream.Cursor, result func(context.Context) (string, error)) (w *stream.Watcher, live bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.live[id]
	if e == nil || e.job.ID != id { // done, or still being submitted
		return nil, false, nil
	}
	topic := d.topicOf(e)
	if w, err = topic.Watch(key, after, result); err == nil {
		d.ask(d.miners[e.job.Miner], e, topic.Len())
	}
	return w, true, err
}

// Watchers counts those that watch a job.
func (d *Dispatcher) Watchers() int { return d.hub.Watchers() }

func (d *Dispatcher) topicOf(e *entry) *stream.Topic {
	if e.topic == nil {
		e.topic = d.hub.Topic(e.job)
	}
	return e.topic
}

// ask has the miner send a watched job's text as the engine makes it: once in a session, when the
// miner has the lease.
func (d *Dispatcher) ask(m *miner, e *entry, from int64) {
	if e.topic == nil || !m.here() || !e.job.HasLease() || e.sentOn != m.session || e.askedOn == m.session || !e.topic.Watched() {
		return
	}
	e.askedOn = m.session
	m.link.Text(e.leaseID(), from)
}

// showMove lets those who watch the job see its change. Without them nothing needs to be kept
// between attempts: a result is in the store.
func (e *entry) showMove() {
	if e.topic == nil {
		return
	}
	e.topic.Move(e.job)
	if !e.job.HasLease() && !e.topic.Watched() {
		e.hideTopic()
	}
}

func (e *entry) hideTopic() {
	if e.topic != nil {
		e.topic.Release()
		e.topic = nil
	}
}
