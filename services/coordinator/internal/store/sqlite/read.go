package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// one runs a query for one row on a reader. Errors: store.ErrNotFound.
func (s *Store) one(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	return queryOne(ctx, s.reading, scan, query, args...)
}

// each runs a query on a reader and calls scan for every row.
func (s *Store) each(ctx context.Context, scan func(scanner) error, query string, args ...any) (err error) {
	stmt, err := s.reading.get(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) jobs(ctx context.Context, query string, args ...any) (list []job.Job, err error) {
	err = s.each(ctx, func(row scanner) error {
		j, err := scanJob(row)
		list = append(list, j)
		return err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return list, nil
}

// Job implements store.Reader.
func (s *Store) Job(ctx context.Context, id aitbc.JobID) (j job.Job, err error) {
	err = s.one(ctx, func(row scanner) (err error) {
		j, err = scanJob(row)
		return err
	}, selectJob, id[:])
	if err != nil {
		return job.Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// Shards implements store.Reader.
func (s *Store) Shards(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]int32, error) {
	shards := make(map[aitbc.JobID]int32, len(ids))
	for _, id := range ids {
		var shard int32
		err := s.one(ctx, func(row scanner) error { return row.Scan(&shard) }, `SELECT shard FROM jobs WHERE id = ? AND phase <> 'done'`, id[:])
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the shard of job %s: %w", id, err)
		}
		shards[id] = shard
	}
	return shards, nil
}

// Payload implements store.Reader.
func (s *Store) Payload(ctx context.Context, id aitbc.JobID) (p job.Payload, err error) {
	var options string
	err = s.one(ctx, func(row scanner) error { return row.Scan(&p.Prompt, &options) },
		`SELECT prompt, options FROM payloads WHERE job_id = ?`, id[:])
	if err == nil {
		err = json.Unmarshal([]byte(options), &p.Options)
	}
	if err != nil {
		return job.Payload{}, fmt.Errorf("read the payload of job %s: %w", id, err)
	}
	return p, nil
}

// Payloads implements store.Reader.
func (s *Store) Payloads(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]job.Payload, error) {
	payloads := make(map[aitbc.JobID]job.Payload, len(ids))
	for _, id := range ids { // in this process: a query costs what its row does
		p, err := s.Payload(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		payloads[id] = p
	}
	return payloads, nil
}

// Result implements store.Reader.
func (s *Store) Result(ctx context.Context, id aitbc.JobID) (result string, err error) {
	err = s.one(ctx, func(row scanner) error { return row.Scan(&result) },
		`SELECT result FROM results WHERE job_id = ?`, id[:])
	if err != nil {
		return "", fmt.Errorf("read the result of job %s: %w", id, err)
	}
	return result, nil
}

// CROSS JOIN keeps the order of the tables, which the planner could otherwise turn around.
const (
	selectJobsOfClient = `SELECT ` + jobColumns + `
	FROM orders o CROSS JOIN jobs j ON j.id = o.job_id` + jobParts + `
	WHERE o.client = ? AND o.job_id < ?
	ORDER BY o.job_id DESC LIMIT ?`

	selectJobsOfClientByStatus = `SELECT ` + jobColumns + `
	FROM jobs j CROSS JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE j.client = ? AND j.status = ? AND j.id < ?
	ORDER BY j.id DESC LIMIT ?`

	selectLive = `SELECT ` + jobColumns + `
	FROM jobs j INDEXED BY jobs_live CROSS JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE j.phase <> 'done' AND j.id > ?
	ORDER BY j.id LIMIT ?`

	selectHeld = `SELECT ` + jobColumns + `
	FROM jobs j INDEXED BY jobs_held CROSS JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE j.phase IN ('leased', 'running', 'unknown') AND (?1 = 0 OR j.shard = ?1)
	ORDER BY j.miner, j.id`

	selectHeldByMiner = `SELECT ` + jobColumns + `
	FROM jobs j INDEXED BY jobs_held CROSS JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE j.phase IN ('leased', 'running', 'unknown') AND j.miner = ?2 AND (?1 = 0 OR j.shard = ?1)
	ORDER BY j.id`

	selectWaiting = `SELECT ` + jobColumns + `
	FROM jobs j INDEXED BY jobs_waiting CROSS JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE j.phase = 'queued' AND j.shard = ? AND j.model = ? AND j.priority = ? AND j.client = ? AND j.id > ?
	ORDER BY j.id LIMIT ?`

	selectDue = `SELECT ` + jobColumns + `
	FROM jobs j INDEXED BY jobs_due CROSS JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE j.phase = 'queued' AND j.due_us <= ? AND j.shard = ?
	ORDER BY j.due_us LIMIT ?`

	selectLines = `SELECT model, priority, client, count(*), max(id)
	FROM jobs INDEXED BY jobs_waiting
	WHERE phase = 'queued' AND shard = ?
	GROUP BY model, priority, client`

	// From each client to the next, without reading the jobs between.
	selectWaitingClients = `
	WITH RECURSIVE clients (client) AS (
		SELECT (SELECT min(client) FROM jobs INDEXED BY jobs_waiting WHERE phase = 'queued' AND shard = ?1 AND model = ?2 AND priority = ?3 AND client > ?4)
		UNION ALL
		SELECT (SELECT min(j.client) FROM jobs j INDEXED BY jobs_waiting
			WHERE j.phase = 'queued' AND j.shard = ?1 AND j.model = ?2 AND j.priority = ?3 AND j.client > c.client)
		FROM clients c WHERE c.client IS NOT NULL)
	SELECT client FROM clients WHERE client IS NOT NULL LIMIT ?5`

	selectEscrows = `SELECT coalesce(sum(o.max_price_uaitbc) FILTER (WHERE j.phase <> 'escrowing'), 0),
		coalesce(sum(o.max_price_uaitbc) FILTER (WHERE j.phase = 'escrowing'), 0)
	FROM jobs j INDEXED BY jobs_of_client CROSS JOIN orders o ON o.job_id = j.id
	WHERE j.client = ? AND j.status IN ('pending', 'running')`

	selectOutbox = `SELECT b.seq, b.kind, ` + jobColumns + `
	FROM outbox b CROSS JOIN jobs j ON j.id = b.job_id CROSS JOIN orders o ON o.job_id = j.id` + jobParts + `
	WHERE b.seq > ?
	ORDER BY b.seq LIMIT ?`
)

// Jobs implements store.Reader.
func (s *Store) Jobs(ctx context.Context, q store.JobQuery) ([]job.Job, error) {
	before := q.Before[:]
	if q.Before == (aitbc.JobID{}) {
		before = bytes.Repeat([]byte{0xff}, len(q.Before)) // behind every ULID, whose time ends in year 10889
	}
	if q.Status == "" {
		return s.jobs(ctx, selectJobsOfClient, q.Client[:], before, q.Limit)
	}
	return s.jobs(ctx, selectJobsOfClientByStatus, q.Client[:], string(q.Status), before, q.Limit)
}

// Live implements store.Reader.
func (s *Store) Live(ctx context.Context, after aitbc.JobID, limit int) ([]job.Job, error) {
	return s.jobs(ctx, selectLive, after[:], limit)
}

// Held implements store.Reader.
func (s *Store) Held(ctx context.Context, q store.HeldQuery) ([]job.Job, error) {
	if q.Miner.IsZero() {
		return s.jobs(ctx, selectHeld, q.Shard)
	}
	return s.jobs(ctx, selectHeldByMiner, q.Shard, q.Miner[:])
}

// Waiting implements store.Reader.
func (s *Store) Waiting(ctx context.Context, q store.WaitingQuery) ([]job.Job, error) {
	return s.jobs(ctx, selectWaiting, q.Shard, q.Model, q.Priority, q.Client[:], q.After[:], q.Limit)
}

// Due implements store.Reader.
func (s *Store) Due(ctx context.Context, shard int32, now time.Time, limit int) ([]job.Job, error) {
	return s.jobs(ctx, selectDue, required(now), shard, limit)
}

// Lines implements store.Reader.
func (s *Store) Lines(ctx context.Context, shard int32) (list []store.Line, err error) {
	err = s.each(ctx, func(row scanner) error {
		var l store.Line
		defer func() { list = append(list, l) }()
		return row.Scan(&l.Model, &l.Priority, toFixed(l.Client[:]), &l.Jobs, toFixed(l.Newest[:]))
	}, selectLines, shard)
	if err != nil {
		return nil, fmt.Errorf("list the lines of shard %d: %w", shard, err)
	}
	return list, nil
}

// WaitingClients implements store.Reader.
func (s *Store) WaitingClients(ctx context.Context, q store.WaitingClientsQuery) (list []aitbc.AccountID, err error) {
	err = s.each(ctx, func(row scanner) error {
		var client aitbc.AccountID
		defer func() { list = append(list, client) }()
		return row.Scan(toFixed(client[:]))
	}, selectWaitingClients, q.Shard, q.Model, q.Priority, q.After[:], q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list clients that wait for %s: %w", q.Model, err)
	}
	return list, nil
}

// Escrows implements store.Reader.
func (s *Store) Escrows(ctx context.Context, client aitbc.AccountID) (escrowed, waiting aitbc.Amount, err error) {
	err = s.one(ctx, func(row scanner) error { return row.Scan(&escrowed, &waiting) }, selectEscrows, client[:])
	if err != nil {
		return 0, 0, fmt.Errorf("sum the escrows of %s: %w", client, err)
	}
	return escrowed, waiting, nil
}

// Outbox implements store.Reader.
func (s *Store) Outbox(ctx context.Context, after int64, limit int) (list []store.Owed, err error) {
	err = s.each(ctx, func(row scanner) (err error) {
		var owed store.Owed
		owed.Job, err = scanJob(row, &owed.Seq, &owed.Kind)
		list = append(list, owed)
		return err
	}, selectOutbox, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the outbox: %w", err)
	}
	return list, nil
}

// CountByStatus implements store.Reader.
func (s *Store) CountByStatus(ctx context.Context) (map[job.Status]int64, error) {
	counts := map[job.Status]int64{}
	err := s.each(ctx, func(row scanner) error {
		var status job.Status
		var jobs int64
		if err := row.Scan(&status, &jobs); err != nil {
			return err
		}
		counts[status] = jobs
		return nil
	}, `SELECT status, jobs FROM job_counts`)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}
