package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// list runs a query and calls scan for every row.
func (s *Store) list(ctx context.Context, scan func(row pgx.Row) error, query string, args ...any) error {
	rows, err := s.reading.Query(ctx, query, args...)
	if err != nil {
		return opaque(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return opaque(err)
		}
	}
	return opaque(rows.Err())
}

func (s *Store) jobs(ctx context.Context, query string, args ...any) (list []job.Job, err error) {
	err = s.list(ctx, func(row pgx.Row) error {
		v, err := scanJob(row)
		list = append(list, v.job)
		return err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return list, nil
}

// Job implements store.Reader.
func (s *Store) Job(ctx context.Context, id aitbc.JobID) (job.Job, error) {
	list, err := s.jobs(ctx, selectJobs, uuids([]aitbc.JobID{id}))
	if err == nil && len(list) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return list[0], nil
}

// Payload implements store.Reader.
func (s *Store) Payload(ctx context.Context, id aitbc.JobID) (p job.Payload, err error) {
	var options []byte
	err = found(s.reading.QueryRow(ctx, `SELECT prompt, options FROM payloads WHERE job_id = $1`, uuid(id)).
		Scan(toText(&p.Prompt), &options))
	if err == nil {
		err = json.Unmarshal(options, &p.Options)
	}
	if err != nil {
		return job.Payload{}, fmt.Errorf("read the payload of job %s: %w", id, err)
	}
	return p, nil
}

// Result implements store.Reader.
func (s *Store) Result(ctx context.Context, id aitbc.JobID) (result string, err error) {
	err = found(s.reading.QueryRow(ctx, `SELECT result FROM results WHERE job_id = $1`, uuid(id)).Scan(toText(&result)))
	if err != nil {
		return "", fmt.Errorf("read the result of job %s: %w", id, err)
	}
	return result, nil
}

// jobParts joins the rest of a job to its state j.
const jobParts = ` j JOIN orders o ON o.job_id = j.id LEFT JOIN completions c ON c.job_id = j.id`

const (
	selectJobsOfClient = `SELECT ` + jobColumns + `
	FROM orders o JOIN ` + anyState + ` j ON j.id = o.job_id LEFT JOIN completions c ON c.job_id = o.job_id
	WHERE o.client = $1 AND o.job_id < $2
	ORDER BY o.job_id DESC LIMIT $3`

	selectLiveOfClient = `SELECT ` + jobColumns + `
	FROM ` + liveState + jobParts + `
	WHERE j.client = $1 AND j.status = $2 AND j.id < $3
	ORDER BY j.id DESC LIMIT $4`

	selectDoneOfClient = `SELECT ` + jobColumns + `
	FROM ` + doneState + jobParts + `
	WHERE j.client = $1 AND j.status = $2 AND j.id < $3
	ORDER BY j.id DESC LIMIT $4`

	selectLive = `SELECT ` + jobColumns + `
	FROM ` + liveState + jobParts + `
	WHERE j.id > $1
	ORDER BY j.id LIMIT $2`

	selectOutbox = `SELECT b.seq, b.kind, ` + jobColumns + `
	FROM outbox b JOIN orders o ON o.job_id = b.job_id JOIN ` + anyState + ` j ON j.id = b.job_id
		LEFT JOIN completions c ON c.job_id = b.job_id
	WHERE b.seq > $1
	ORDER BY b.seq LIMIT $2`

	selectCounts = `SELECT status, sum(jobs)::bigint FROM job_counts GROUP BY status`
)

// Jobs implements store.Reader.
func (s *Store) Jobs(ctx context.Context, q store.JobQuery) ([]job.Job, error) {
	before := q.Before
	if before == (aitbc.JobID{}) {
		copy(before[:], bytes.Repeat([]byte{0xff}, len(before))) // behind every ULID, whose time ends in year 10889
	}
	switch q.Status {
	case "":
		return s.jobs(ctx, selectJobsOfClient, q.Client[:], uuid(before), q.Limit)
	case job.StatusPending, job.StatusRunning:
		return s.jobs(ctx, selectLiveOfClient, q.Client[:], string(q.Status), uuid(before), q.Limit)
	default:
		return s.jobs(ctx, selectDoneOfClient, q.Client[:], string(q.Status), uuid(before), q.Limit)
	}
}

// Live implements store.Reader.
func (s *Store) Live(ctx context.Context, after aitbc.JobID, limit int) ([]job.Job, error) {
	return s.jobs(ctx, selectLive, uuid(after), limit)
}

// Outbox implements store.Reader.
func (s *Store) Outbox(ctx context.Context, after int64, limit int) (list []store.Owed, err error) {
	err = s.list(ctx, func(row pgx.Row) error {
		var owed store.Owed
		v, err := scanJob(row, &owed.Seq, (*string)(&owed.Kind))
		owed.Job = v.job
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
	counts := map[job.Status]int64{
		job.StatusPending: 0, job.StatusRunning: 0, job.StatusCompleted: 0, job.StatusFailed: 0, job.StatusCancelled: 0,
	}
	err := s.list(ctx, func(row pgx.Row) error {
		var status job.Status
		var jobs int64
		if err := row.Scan((*string)(&status), &jobs); err != nil {
			return err
		}
		counts[status] = jobs
		return nil
	}, selectCounts)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}
