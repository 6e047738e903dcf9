package postgres

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// gathered is what a run has still to write and to confirm.
type gathered struct {
	// changed are the jobs to write, each once; the jobs themselves are in tx.jobs.
	changed []aitbc.JobID
	results []resultOf
	// steps are to be added, oldest first.
	steps []stepOf
	// owed are the messages to add, oldest first, isOwed the same as a set; paid those to take out
	// before.
	owed   []message
	isOwed map[message]bool
	paid   map[message]bool
	// put are the requests to write, askedFor those that fn was told are not there.
	put, askedFor []requestKey
	// forgetLimit requests that expired at forgetNow are forgotten; 0: none.
	forgetNow   time.Time
	forgetLimit int
	// bytes is how much all of it is, roughly.
	bytes int

	// hasResult are the jobs that have got a result in this run, written or not.
	hasResult map[aitbc.JobID]bool
}

type message struct {
	job  aitbc.JobID
	kind job.Message
}

type resultOf struct {
	job    aitbc.JobID
	result []byte
}

func newGathered() gathered {
	return gathered{isOwed: map[message]bool{}, paid: map[message]bool{}, hasResult: map[aitbc.JobID]bool{}}
}

func (g *gathered) owe(m message) {
	if !g.isOwed[m] {
		g.isOwed[m] = true
		g.owed = append(g.owed, m)
	}
}

func (g *gathered) pay(m message) {
	if g.isOwed[m] {
		delete(g.isOwed, m)
		g.owed = slices.DeleteFunc(g.owed, func(o message) bool { return o == m })
	}
	g.paid[m] = true
}

// writes reports whether there is anything to write.
func (g *gathered) writes() bool {
	return len(g.changed)+len(g.results)+len(g.steps)+len(g.owed)+len(g.paid)+len(g.put)+g.forgetLimit > 0
}

// flush carries out what was gathered and confirms what fn was told, in one round trip. Errors:
// errStale, when something was not confirmed.
func (t *tx) flush() error {
	var batch pgx.Batch
	writes := t.writes() || t.spends()
	if writes && !t.open {
		t.queueBegin(&batch)
	}
	t.queueConfirmations(&batch)
	if writes {
		t.queueRequestsForgotten(&batch)
		t.queueJobs(&batch)
		t.queueSteps(&batch)
		t.queueOutbox(&batch)
		t.queueRequestsPut(&batch)
		t.queueSpending(&batch)
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := t.connect(); err != nil {
		return err
	}
	err := t.send(&batch)
	if t.stale && !t.fenced { // statements behind the one that found out may have failed over it
		return errStale
	}
	if err != nil {
		return err
	}
	t.flushed()
	return nil
}

// flushed notes that the database has what was gathered.
func (t *tx) flushed() {
	for _, e := range t.jobs {
		if e.changed {
			e.in = storedAs(version{e.job, e.in.version + 1})
			e.changed, e.payload = false, nil
		}
		e.believed = false
	}
	for _, r := range t.requests {
		r.in, r.believed, r.changed = r.now, false, false
	}
	t.spentFlushed()
	hasResult := t.hasResult
	t.gathered = newGathered()
	t.hasResult = hasResult
}

// remember keeps the live jobs of a committed run for the next one.
func (t *tx) remember() {
	for id, e := range t.jobs {
		switch {
		case e.there && e.job.Phase != job.Done:
			t.store.cache.Add(id, version{e.job, e.in.version})
		default:
			t.store.cache.Remove(id)
		}
	}
}

// forget drops what the cache has of a run whose end is not known.
func (t *tx) forget() {
	for id := range t.jobs {
		t.store.cache.Remove(id)
	}
}

// queueConfirmations checks what fn was told and does not write, which confirms itself.
func (t *tx) queueConfirmations(batch *pgx.Batch) {
	var read []change
	for id, e := range t.jobs {
		if e.believed && !e.changed {
			read = append(read, change{id, e})
		}
	}
	if len(read) > 0 {
		t.confirm(batch.Queue(confirmJobs, each(read, change.uuid), each(read, change.version)), jobAsCached, read)
	}
	if len(t.askedFor) > 0 {
		batch.Queue(presentRequests, each(t.askedFor, requestKey.clientBytes), each(t.askedFor, requestKey.idBytes)).
			Query(func(rows pgx.Rows) error {
				return eachKey(rows, func(key requestKey) { t.doubt(key.absent()) })
			})
	}
}

// queueJobs writes the jobs with all their parts, in the order of their ids, so that two replicas
// never wait for each other.
func (t *tx) queueJobs(batch *pgx.Batch) {
	slices.SortFunc(t.changed, func(a, b aitbc.JobID) int { return bytes.Compare(a[:], b[:]) })
	var fresh, begun, stepped, left, ended, accepted []change
	counts := map[job.Status]int64{}
	for _, id := range t.changed {
		c := change{id, t.jobs[id]}
		done := c.job.Phase == job.Done
		switch {
		case !c.in.there && done:
			fresh, ended = append(fresh, c), append(ended, c)
		case !c.in.there:
			fresh, begun = append(fresh, c), append(begun, c)
		case done:
			left, ended = append(left, c), append(ended, c)
		default:
			stepped = append(stepped, c)
		}
		if c.job.Completion != nil && !c.in.accepted {
			accepted = append(accepted, c)
		}
		counts[c.job.Status()]++
		if c.in.there {
			counts[c.in.status]--
		}
	}
	if len(fresh) > 0 {
		t.confirm(batch.Queue(insertOrders, orderRows(fresh)), idFree, fresh)
		batch.Queue(insertPayloads, payloadArrays(fresh)...)
	}
	if len(begun) > 0 {
		batch.Queue(insertLive, liveRows(begun))
	}
	if len(stepped) > 0 {
		t.confirm(batch.Queue(updateLive, liveRows(stepped)), jobAsCached, stepped)
	}
	if len(left) > 0 {
		t.confirm(batch.Queue(deleteLive, each(left, change.uuid), each(left, change.version)), jobAsCached, left)
	}
	if len(ended) > 0 {
		batch.Queue(insertDone, doneRows(ended))
	}
	if len(accepted) > 0 {
		batch.Queue(insertCompletions, completionRows(accepted))
	}
	if len(t.results) > 0 {
		t.queueResults(batch)
	}
	t.queueCounts(batch, counts)
}

func (t *tx) queueResults(batch *pgx.Batch) {
	written := make([]change, len(t.results))
	for i, r := range t.results {
		written[i] = change{r.job, t.jobs[r.job]}
	}
	t.confirm(batch.Queue(insertResults, each(written, change.uuid), each(t.results, func(r resultOf) []byte { return notNull(r.result) })),
		resultAbsent, written)
}

func (t *tx) queueCounts(batch *pgx.Batch, counts map[job.Status]int64) {
	maps.DeleteFunc(counts, func(_ job.Status, n int64) bool { return n == 0 })
	if len(counts) == 0 {
		return
	}
	statuses := slices.Sorted(maps.Keys(counts)) // one order for all
	batch.Queue(addCounts, t.store.shard, each(statuses, func(s job.Status) string { return string(s) }),
		each(statuses, func(s job.Status) int64 { return counts[s] }))
}

func (t *tx) queueOutbox(batch *pgx.Batch) {
	if len(t.paid) > 0 {
		paid := slices.Collect(maps.Keys(t.paid))
		batch.Queue(deleteOwed, each(paid, message.uuid), each(paid, message.word))
	}
	if len(t.owed) > 0 {
		batch.Queue(insertOwed, each(t.owed, message.uuid), each(t.owed, message.word))
	}
}

func (t *tx) queueRequestsForgotten(batch *pgx.Batch) {
	if t.forgetLimit > 0 {
		batch.Queue(forgetRequests, instant(t.forgetNow), t.forgetLimit)
	}
}

// queueRequestsPut writes the requests; one that is replaced is deleted first.
func (t *tx) queueRequestsPut(batch *pgx.Batch) {
	if len(t.put) == 0 {
		return
	}
	var replaced []requestKey
	for _, key := range t.put {
		if t.requests[key].in != nil {
			replaced = append(replaced, key)
		}
	}
	if len(replaced) > 0 {
		batch.Queue(deleteRequests, each(replaced, requestKey.clientBytes), each(replaced, requestKey.idBytes),
			each(replaced, func(k requestKey) pgUUID { return uuid(t.requests[k].in.JobID) }))
	}
	batch.Queue(insertRequests, t.requestArrays(t.put)...).Query(func(rows pgx.Rows) error {
		missing := map[requestKey]bool{}
		for _, key := range t.put {
			missing[key] = true
		}
		err := eachKey(rows, func(key requestKey) { delete(missing, key) })
		for key := range missing {
			if err == nil {
				t.doubt(key.absent())
			}
		}
		return err
	})
}

// confirm has a statement's answer, the ids of the rows it found or wrote, confirm all changes: what
// was believed of those that are missing was wrong.
func (t *tx) confirm(query *pgx.QueuedQuery, about subject, changes []change) {
	query.Query(func(rows pgx.Rows) error {
		ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
		if err != nil || len(ids) == len(changes) {
			return err
		}
		confirmed := make(map[aitbc.JobID]bool, len(ids))
		for _, id := range ids {
			confirmed[id] = true
		}
		for _, c := range changes {
			if !confirmed[c.id] {
				t.doubt(belief{about: about, job: c.id})
			}
		}
		return nil
	})
}
