package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

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
