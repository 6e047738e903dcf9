package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// tx is the transaction under way on the connection that writes. It lives only as long as its
// Update, which is why it may hold a context.
type tx struct {
	ctx        context.Context
	statements *statements
	store      *Store
	// jobs are those that this transaction has read or written, as they are in it.
	jobs map[aitbc.JobID]job.Job
}

var _ store.Tx = (*tx)(nil)

func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	stmt, err := t.statements.get(t.ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(t.ctx, args...)
}

// changed runs a query and gives how many rows it changed.
func (t *tx) changed(query string, args ...any) (int64, error) {
	result, err := t.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// one runs a query for one row. Errors: store.ErrNotFound.
func (t *tx) one(scan func(scanner) error, query string, args ...any) error {
	return queryOne(t.ctx, t.statements, scan, query, args...)
}

func queryOne(ctx context.Context, from *statements, scan func(scanner) error, query string, args ...any) error {
	stmt, err := from.get(ctx, query)
	if err != nil {
		return err
	}
	err = scan(stmt.QueryRowContext(ctx, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// broke reports whether err says that a row violated this kind of constraint. SQLite undoes the
// statement and keeps the transaction.
func broke(err error, constraints ...int) bool {
	var fault *sqlite.Error
	if !errors.As(err, &fault) {
		return false
	}
	for _, c := range constraints {
		if fault.Code() == c {
			return true
		}
	}
	return false
}

func taken(err error) bool {
	return broke(err, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE)
}

func orphan(err error) bool { return broke(err, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY) }

const selectJob = `SELECT ` + jobColumns + `
	FROM jobs j JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE j.id = ?`

// Preload implements store.Tx. The rows are in this process already.
func (*tx) Preload(...aitbc.JobID) error { return nil }

// known gives a job as it is in this transaction, if that needs no reading. Nobody else writes jobs.
func (t *tx) known(id aitbc.JobID) (job.Job, bool) {
	if j, there := t.jobs[id]; there {
		return j, true
	}
	return t.store.committed.Get(id)
}

// forget has a job read again when it is asked for.
func (t *tx) forget(id aitbc.JobID) {
	delete(t.jobs, id)
	t.store.committed.Remove(id)
}

// remember is called after the commit: the next change of each live job need not read it.
func (t *tx) remember() {
	for id, j := range t.jobs {
		if j.Phase == job.Done {
			t.store.committed.Remove(id)
		} else {
			t.store.committed.Add(id, j)
		}
	}
}

// Job implements store.Tx.
func (t *tx) Job(id aitbc.JobID) (j job.Job, err error) {
	if j, known := t.known(id); known {
		return j, nil
	}
	err = t.one(func(row scanner) (err error) {
		j, err = scanJob(row)
		return err
	}, selectJob, id[:])
	if err != nil {
		return job.Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	t.jobs[id] = j
	return j, nil
}

// InsertJob implements store.Tx.
func (t *tx) InsertJob(j job.Job, p job.Payload) error {
	options, err := json.Marshal(p.Options)
	if err != nil {
		return fmt.Errorf("insert job %s: encode its options: %w", j.ID, err)
	}
	if _, err := t.exec(insertOrder, orderValues(&j)...); err != nil {
		if taken(err) { // the first write, so nothing is written
			err = job.ErrExists
		}
		return fmt.Errorf("insert job %s: %w", j.ID, err)
	}
	if _, err := t.exec(insertJob, append(stateValues(&j), j.Order.Client[:], j.Model, int64(j.Priority))...); err != nil {
		return fmt.Errorf("insert job %s: %w", j.ID, err)
	}
	if _, err := t.exec(`INSERT INTO payloads (job_id, prompt, options) VALUES (?, ?, ?)`,
		j.ID[:], p.Prompt, string(options)); err != nil {
		return fmt.Errorf("insert job %s: its payload: %w", j.ID, err)
	}
	if err := t.putParts(&j, false); err != nil {
		return fmt.Errorf("insert job %s: %w", j.ID, err)
	}
	t.jobs[j.ID] = store.AsStored(j)
	return nil
}

// UpdateJob implements store.Tx.
func (t *tx) UpdateJob(j job.Job) error {
	before, known := t.known(j.ID)
	t.forget(j.ID) // until it is written
	n, err := t.changed(updateJob, stateValues(&j)...)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err == nil {
		err = t.putParts(&j, known && before.Completion != nil)
	}
	if err != nil {
		return fmt.Errorf("update job %s to %s/%s: %w", j.ID, j.Status(), j.Phase, err)
	}
	if known {
		// What Updated refuses and the tables did not is read again.
		if after, err := store.Updated(before, j); err == nil {
			t.jobs[j.ID] = after
		}
	}
	return nil
}

// putParts writes what a job's row does not have; has says that its completion is there.
func (t *tx) putParts(j *job.Job, has bool) error {
	if j.Completion != nil && !has {
		if _, err := t.exec(insertCompletion, completionValues(&j.ID, j.Completion)...); err != nil {
			return fmt.Errorf("its completion: %w", err)
		}
	}
	if j.Settlement != nil {
		if _, err := t.exec(insertSettlement, settlementValues(&j.ID, j.Order.MaxPrice, j.Settlement)...); err != nil {
			return fmt.Errorf("its settlement: %w", err)
		}
	}
	return nil
}

// PutResult implements store.Tx.
func (t *tx) PutResult(id aitbc.JobID, result string) error {
	_, err := t.exec(`INSERT INTO results (job_id, result) VALUES (?, ?)`, id[:], []byte(result))
	switch {
	case taken(err):
		err = job.ErrExists
	case orphan(err):
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("put the result of job %s: %w", id, err)
	}
	return nil
}

// Owe implements store.Tx.
func (t *tx) Owe(id aitbc.JobID, kind job.Message) error {
	_, err := t.exec(`INSERT INTO outbox (job_id, kind) VALUES (?, ?) ON CONFLICT (job_id, kind) DO NOTHING`, id[:], string(kind))
	if orphan(err) {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("owe the ledger %s of job %s: %w", kind, id, err)
	}
	return nil
}

// Paid implements store.Tx.
func (t *tx) Paid(id aitbc.JobID, kind job.Message) error {
	if _, err := t.exec(`DELETE FROM outbox WHERE job_id = ? AND kind = ?`, id[:], string(kind)); err != nil {
		return fmt.Errorf("note that %s of job %s is paid: %w", kind, id, err)
	}
	return nil
}

// Request implements store.Tx.
func (t *tx) Request(client aitbc.AccountID, requestID string) (r store.Request, err error) {
	err = t.one(func(row scanner) error {
		return row.Scan(toFixed(r.Hash[:]), toFixed(r.JobID[:]), toInstant(&r.ExpiresAt))
	}, `SELECT hash, job_id, expires_us FROM requests WHERE client = ? AND request_id = ?`, client[:], requestID)
	if err != nil {
		return store.Request{}, fmt.Errorf("read request %q: %w", requestID, err)
	}
	return r, nil
}

// PutRequest implements store.Tx.
func (t *tx) PutRequest(client aitbc.AccountID, requestID string, r store.Request) error {
	_, err := t.exec(`
		INSERT INTO requests (client, request_id, hash, job_id, expires_us) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (client, request_id) DO UPDATE
		SET hash = excluded.hash, job_id = excluded.job_id, expires_us = excluded.expires_us`,
		client[:], requestID, r.Hash[:], r.JobID[:], required(r.ExpiresAt))
	if orphan(err) {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("put request %q: %w", requestID, err)
	}
	if known := &t.store.firstExpiry; *known != 0 {
		*known = min(*known, required(r.ExpiresAt))
	}
	return nil
}

const forgetRequests = `
	DELETE FROM requests WHERE (client, request_id) IN (
		SELECT client, request_id FROM requests WHERE expires_us <= ? ORDER BY expires_us LIMIT ?)`

const selectFirstExpiry = `SELECT coalesce((SELECT expires_us FROM requests WHERE expires_us > 0 ORDER BY expires_us LIMIT 1), ?)`

// ForgetRequests implements store.Tx. It asks the table only when there may be something to forget.
func (t *tx) ForgetRequests(now time.Time, limit int) error {
	first := &t.store.firstExpiry
	if *first > required(now) {
		return nil
	}
	_, err := t.exec(forgetRequests, required(now), limit)
	if err == nil {
		err = t.one(func(row scanner) error { return row.Scan(first) }, selectFirstExpiry, int64(math.MaxInt64))
	}
	if err != nil {
		return fmt.Errorf("forget requests: %w", err)
	}
	return nil
}
