package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// maxGathered is how many bytes of prompts and results a transaction gathers before it writes them:
// a bound on memory, far above what an ordinary one has.
const maxGathered = 8 << 20

// belief is something that a hopeful run takes for so until the batch confirms it.
type belief struct {
	about     subject
	job       aitbc.JobID
	client    aitbc.AccountID
	requestID string
}

type subject int

const (
	jobAsCached   subject = iota // the job is as in the cache
	idFree                       // no job has the id
	resultAbsent                 // the job has no result
	requestAbsent                // the idempotency key stands for nothing
)

// doubts are the beliefs that were wrong in an earlier run of the same Update.
type doubts map[belief]bool

// tx is one run of an Update: what fn sees and what it wants written. It lives only as long as that
// run, which is why it may hold a context.
type tx struct {
	ctx    context.Context
	store  *Store
	doubts doubts
	// careful says that nothing is believed: reads lock, writes are carried out at once.
	careful bool
	// hoped says that an answer rests on a belief, stale that one was found wrong.
	hoped, stale bool

	conn *pgxpool.Conn // nil until it is needed
	open bool          // a transaction is open on conn
	xid  string        // its number
	// fenced says that this replica may not write any more.
	fenced bool

	jobs     map[aitbc.JobID]*entry
	requests map[requestKey]*request
	// firstExpiry is when the first of requests expires; zero: none is known.
	firstExpiry time.Time
	spent       map[spending]*spent
	gathered
}

// entry is a job in a run.
type entry struct {
	// job is it as fn sees it; there says that it exists.
	job   job.Job
	there bool
	// in is what the database has, as far as the run knows.
	in stored
	// believed says that in comes from the cache, and nothing has confirmed it.
	believed bool
	// changed says that job is to be written; payload is written with a new one.
	changed bool
	payload *payload
}

// stored is what the database has of a job.
type stored struct {
	there    bool
	version  int64
	status   job.Status
	accepted bool
}

func storedAs(v version) stored {
	return stored{there: true, version: v.number, status: v.job.Status(), accepted: v.job.Completion != nil}
}

type payload struct{ prompt, options []byte }

func newTx(ctx context.Context, s *Store, doubts doubts, careful bool) *tx {
	return &tx{
		ctx: ctx, store: s, doubts: doubts, careful: careful,
		jobs: map[aitbc.JobID]*entry{}, requests: map[requestKey]*request{}, spent: map[spending]*spent{}, gathered: newGathered(),
	}
}

var _ store.Tx = (*tx)(nil)

// believe reports whether b may be taken for so.
func (t *tx) believe(b belief) bool {
	if t.careful || t.doubts[b] {
		return false
	}
	t.hoped = true
	return true
}

// doubt notes that a belief was wrong.
func (t *tx) doubt(b belief) {
	t.stale, t.doubts[b] = true, true
	if b.about == jobAsCached {
		t.store.cache.Remove(b.job)
	}
}

// wrote is called after each write, with its bytes: a careful run carries it out at once.
func (t *tx) wrote(bytes int) error {
	t.bytes += bytes
	if t.careful || t.bytes > maxGathered {
		return t.flush()
	}
	return nil
}

// Preload implements store.Tx.
func (t *tx) Preload(ids ...aitbc.JobID) error {
	var missing []aitbc.JobID
	for _, id := range ids {
		if t.jobs[id] == nil && !t.fromCache(id) {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := t.load(missing...); err != nil {
		return fmt.Errorf("read %d jobs: %w", len(missing), err)
	}
	return nil
}

// entry gives a job, there or not.
func (t *tx) entry(id aitbc.JobID) (*entry, error) {
	if t.jobs[id] == nil && !t.fromCache(id) {
		if err := t.load(id); err != nil {
			return nil, err
		}
	}
	return t.jobs[id], nil
}

// existing gives a job that is there. Errors: store.ErrNotFound.
func (t *tx) existing(id aitbc.JobID) (*entry, error) {
	e, err := t.entry(id)
	if err == nil && !e.there {
		err = store.ErrNotFound
	}
	return e, err
}

// fromCache enters a job as the cache has it.
func (t *tx) fromCache(id aitbc.JobID) bool {
	if !t.store.cache.Contains(id) || !t.believe(belief{about: jobAsCached, job: id}) {
		return false
	}
	v, _ := t.store.cache.Get(id)
	t.jobs[id] = &entry{job: v.job, there: true, in: storedAs(v), believed: true}
	return true
}

const (
	selectJobs = `SELECT ` + jobColumns + `
	FROM orders o JOIN ` + anyState + ` j ON j.id = o.job_id LEFT JOIN completions c ON c.job_id = o.job_id
	WHERE o.job_id = ANY($1)`

	// In the order of their ids, so that two replicas never wait for each other.
	lockJobs = `SELECT id FROM live_jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE`
)

// load enters jobs as the database has them.
func (t *tx) load(ids ...aitbc.JobID) error {
	if t.careful {
		if err := t.begin(); err != nil {
			return err
		}
		if _, err := t.conn.Exec(t.ctx, lockJobs, uuids(ids)); err != nil {
			return err
		}
	}
	if err := t.connect(); err != nil {
		return err
	}
	for _, id := range ids {
		t.jobs[id] = &entry{}
	}
	rows, err := t.conn.Query(t.ctx, selectJobs, uuids(ids))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scanJob(rows)
		if err != nil {
			return err
		}
		t.jobs[v.job.ID] = &entry{job: v.job, there: true, in: storedAs(v)}
	}
	return rows.Err()
}

// Job implements store.Tx.
func (t *tx) Job(id aitbc.JobID) (job.Job, error) {
	e, err := t.existing(id)
	if err != nil {
		return job.Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return e.job, nil
}

// InsertJob implements store.Tx.
func (t *tx) InsertJob(j job.Job, p job.Payload) error {
	if err := t.insertJob(store.AsStored(j), p); err != nil {
		return fmt.Errorf("insert job %s: %w", j.ID, err)
	}
	return nil
}

func (t *tx) insertJob(j job.Job, p job.Payload) error {
	e := t.jobs[j.ID]
	if e == nil && (t.store.cache.Contains(j.ID) || !t.believe(belief{about: idFree, job: j.ID})) {
		var err error
		if e, err = t.entry(j.ID); err != nil {
			return err
		}
	}
	if e != nil && e.there {
		return job.ErrExists
	}
	options, err := json.Marshal(p.Options)
	if err != nil {
		return fmt.Errorf("encode its options: %w", err)
	}
	if err := fits(&j); err != nil {
		return err
	}
	t.jobs[j.ID] = &entry{job: j, there: true, changed: true, payload: &payload{[]byte(p.Prompt), options}}
	t.changed = append(t.changed, j.ID)
	return t.wrote(len(p.Prompt) + len(options))
}

// UpdateJob implements store.Tx.
func (t *tx) UpdateJob(j job.Job) error {
	if err := t.updateJob(j); err != nil {
		return fmt.Errorf("update job %s to %s/%s: %w", j.ID, j.Status(), j.Phase, err)
	}
	return nil
}

func (t *tx) updateJob(j job.Job) error {
	e, err := t.existing(j.ID)
	if err != nil {
		return err
	}
	next, err := store.Updated(e.job, j)
	if err != nil {
		return err
	}
	if err := fits(&next); err != nil {
		return err
	}
	if e.job.Phase == job.Done {
		return nil // it stays as it is
	}
	if !e.changed {
		t.changed = append(t.changed, j.ID)
	}
	e.job, e.changed = next, true
	return t.wrote(0)
}

// PutResult implements store.Tx.
func (t *tx) PutResult(id aitbc.JobID, result string) error {
	if err := t.putResult(id, result); err != nil {
		return fmt.Errorf("put the result of job %s: %w", id, err)
	}
	return nil
}

func (t *tx) putResult(id aitbc.JobID, result string) error {
	if _, err := t.existing(id); err != nil {
		return err
	}
	has := t.hasResult[id]
	if !has && !t.believe(belief{about: resultAbsent, job: id}) {
		if err := t.row(&has, `SELECT EXISTS (SELECT FROM results WHERE job_id = $1)`, uuid(id)); err != nil {
			return err
		}
	}
	if has {
		return job.ErrExists
	}
	t.hasResult[id] = true
	t.results = append(t.results, resultOf{id, []byte(result)})
	return t.wrote(len(result))
}

// row reads one value in the transaction.
func (t *tx) row(to any, query string, args ...any) error {
	if err := t.toRead(); err != nil {
		return err
	}
	return t.conn.QueryRow(t.ctx, query, args...).Scan(to)
}

// toRead makes the connection ready for a read, which a careful run has in its transaction.
func (t *tx) toRead() error {
	if t.careful {
		return t.begin()
	}
	return t.connect()
}

// Owe implements store.Tx.
func (t *tx) Owe(id aitbc.JobID, kind job.Message) error {
	_, err := t.existing(id)
	if err == nil && kind != job.SubmitJob && kind != job.RecordReceipt && kind != job.RefundJob {
		err = errors.New("there is no such message")
	}
	if err == nil {
		t.owe(message{id, kind})
		err = t.wrote(0)
	}
	if err != nil {
		return fmt.Errorf("owe the ledger %s of job %s: %w", kind, id, err)
	}
	return nil
}

// Paid implements store.Tx.
func (t *tx) Paid(id aitbc.JobID, kind job.Message) error {
	t.pay(message{id, kind})
	if err := t.wrote(0); err != nil {
		return fmt.Errorf("note that %s of job %s is paid: %w", kind, id, err)
	}
	return nil
}
