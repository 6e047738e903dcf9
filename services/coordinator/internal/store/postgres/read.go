package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// list runs a query and calls scan for every row. When the connection was dead, so are its neighbours:
// the database came back, and new ones are made.
func (s *Store) list(ctx context.Context, scan func(row pgx.Row) error, query string, args ...any) error {
	read, err := s.listOnce(ctx, scan, query, args...)
	if read == 0 && isLost(err) {
		s.reading.Reset()
		_, err = s.listOnce(ctx, scan, query, args...)
	}
	return opaque(err)
}

// listOnce is list on one connection; it gives how many rows it has read.
func (s *Store) listOnce(ctx context.Context, scan func(row pgx.Row) error, query string, args ...any) (read int, err error) {
	rows, err := s.reading.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); read++ {
		if err := scan(rows); err != nil {
			return read + 1, err
		}
	}
	return read, rows.Err()
}

// one runs a query for one row. Errors: store.ErrNotFound.
func (s *Store) one(ctx context.Context, scan func(row pgx.Row) error, query string, args ...any) error {
	found := false
	err := s.list(ctx, func(row pgx.Row) error {
		found = true
		return scan(row)
	}, query, args...)
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
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

// Shards implements store.Reader.
func (s *Store) Shards(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]int32, error) {
	shards := make(map[aitbc.JobID]int32, len(ids))
	err := s.list(ctx, func(row pgx.Row) error {
		var id aitbc.JobID
		var shard int32
		defer func() { shards[id] = shard }()
		return row.Scan((*[16]byte)(&id), &shard)
	}, selectShards, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("read the shards of %d jobs: %w", len(ids), err)
	}
	return shards, nil
}

// Payload implements store.Reader.
func (s *Store) Payload(ctx context.Context, id aitbc.JobID) (p job.Payload, err error) {
	var options []byte
	err = s.one(ctx, func(row pgx.Row) error { return row.Scan(toText(&p.Prompt), &options) },
		`SELECT prompt, options FROM payloads WHERE job_id = $1`, uuid(id))
	if err == nil {
		err = json.Unmarshal(options, &p.Options)
	}
	if err != nil {
		return job.Payload{}, fmt.Errorf("read the payload of job %s: %w", id, err)
	}
	return p, nil
}

// Payloads implements store.Reader.
func (s *Store) Payloads(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]job.Payload, error) {
	payloads := make(map[aitbc.JobID]job.Payload, len(ids))
	err := s.list(ctx, func(row pgx.Row) error {
		var id aitbc.JobID
		var p job.Payload
		var options []byte
		if err := row.Scan((*[16]byte)(&id), toText(&p.Prompt), &options); err != nil {
			return err
		}
		defer func() { payloads[id] = p }()
		return json.Unmarshal(options, &p.Options)
	}, selectPayloads, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("read the payloads of %d jobs: %w", len(ids), err)
	}
	return payloads, nil
}

// Result implements store.Reader.
func (s *Store) Result(ctx context.Context, id aitbc.JobID) (result string, err error) {
	err = s.one(ctx, func(row pgx.Row) error { return row.Scan(toText(&result)) },
		`SELECT result FROM results WHERE job_id = $1`, uuid(id))
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

	selectShards = `SELECT id, shard FROM live_jobs WHERE id = ANY($1)`

	selectPayloads = `SELECT job_id, prompt, options FROM payloads WHERE job_id = ANY($1)`

	// All that miners hold is looked at for one shard, which happens when a replica takes it over.
	selectHeld = `SELECT ` + jobColumns + `
	FROM ` + liveState + jobParts + `
	WHERE j.phase IN ('leased', 'running', 'unknown') AND j.miner >= '' AND ($1::integer = 0 OR j.shard = $1)`

	selectHeldByMiner = `SELECT ` + jobColumns + `
	FROM ` + liveState + jobParts + `
	WHERE j.phase IN ('leased', 'running', 'unknown') AND j.miner = $2 AND ($1::integer = 0 OR j.shard = $1)`

	selectWaiting = `SELECT ` + jobColumns + `
	FROM ` + lineState + jobParts + `
	WHERE j.phase = 'queued' AND j.shard = $1 AND j.line_model = $2 AND j.priority = $3 AND j.client = $4 AND j.id > $5
	ORDER BY j.id LIMIT $6`

	selectDue = `SELECT ` + jobColumns + `
	FROM ` + lineState + jobParts + `
	WHERE j.phase = 'queued' AND j.due_us <= $1 AND j.shard = $2
	ORDER BY j.due_us LIMIT $3`

	// The newest by the index: there is no max(uuid).
	selectLines = `SELECT model, priority, client, jobs, (
		SELECT id FROM live_jobs l
		WHERE l.phase = 'queued' AND l.shard = $1 AND l.model = g.model AND l.priority = g.priority AND l.client = g.client
		ORDER BY id DESC LIMIT 1)
	FROM (SELECT model, priority, client, count(*) AS jobs FROM live_jobs WHERE phase = 'queued' AND shard = $1
		GROUP BY model, priority, client) g`

	// From each client to the next, without reading the jobs between.
	selectWaitingClients = `
	WITH RECURSIVE clients (client) AS (
		(SELECT client FROM live_jobs WHERE phase = 'queued' AND shard = $1 AND model = $2 AND priority = $3 AND client > $4 ORDER BY client LIMIT 1)
		UNION ALL
		SELECT (SELECT l.client FROM live_jobs l WHERE l.phase = 'queued' AND l.shard = $1 AND l.model = $2 AND l.priority = $3
			AND l.client > c.client
			ORDER BY l.client LIMIT 1)
		FROM clients c WHERE c.client IS NOT NULL)
	SELECT client FROM clients WHERE client IS NOT NULL LIMIT $5`

	selectEscrows = `SELECT coalesce(sum(o.max_price_uaitbc) FILTER (WHERE l.phase <> 'escrowing'), 0)::bigint,
		coalesce(sum(o.max_price_uaitbc) FILTER (WHERE l.phase = 'escrowing'), 0)::bigint
	FROM live_jobs l JOIN orders o ON o.job_id = l.id WHERE l.client = $1`

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

// Held implements store.Reader.
func (s *Store) Held(ctx context.Context, q store.HeldQuery) ([]job.Job, error) {
	if q.Miner.IsZero() {
		return s.jobs(ctx, selectHeld, q.Shard)
	}
	return s.jobs(ctx, selectHeldByMiner, q.Shard, q.Miner[:])
}

// Waiting implements store.Reader.
func (s *Store) Waiting(ctx context.Context, q store.WaitingQuery) ([]job.Job, error) {
	return s.jobs(ctx, selectWaiting, q.Shard, []byte(q.Model), int16(q.Priority), q.Client[:], uuid(q.After), q.Limit)
}

// Due implements store.Reader.
func (s *Store) Due(ctx context.Context, shard int32, now time.Time, limit int) ([]job.Job, error) {
	return s.jobs(ctx, selectDue, instant(now), shard, limit)
}

// Lines implements store.Reader.
func (s *Store) Lines(ctx context.Context, shard int32) (list []store.Line, err error) {
	err = s.list(ctx, func(row pgx.Row) error {
		var l store.Line
		var model []byte
		err := row.Scan(&model, (*int8)(&l.Priority), toFixed(l.Client[:]), &l.Jobs, (*[16]byte)(&l.Newest))
		l.Model = string(model)
		list = append(list, l)
		return err
	}, selectLines, shard)
	if err != nil {
		return nil, fmt.Errorf("list the lines of shard %d: %w", shard, err)
	}
	return list, nil
}

// WaitingClients implements store.Reader.
func (s *Store) WaitingClients(ctx context.Context, q store.WaitingClientsQuery) (list []aitbc.AccountID, err error) {
	err = s.list(ctx, func(row pgx.Row) error {
		var client aitbc.AccountID
		defer func() { list = append(list, client) }()
		return row.Scan(toFixed(client[:]))
	}, selectWaitingClients, q.Shard, []byte(q.Model), int16(q.Priority), q.After[:], q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list clients that wait for %s: %w", q.Model, err)
	}
	return list, nil
}

// Escrows implements store.Reader.
func (s *Store) Escrows(ctx context.Context, client aitbc.AccountID) (escrowed, waiting aitbc.Amount, err error) {
	err = s.one(ctx, func(row pgx.Row) error { return row.Scan((*int64)(&escrowed), (*int64)(&waiting)) }, selectEscrows, client[:])
	if err != nil {
		return 0, 0, fmt.Errorf("sum the escrows of %s: %w", client, err)
	}
	return escrowed, waiting, nil
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
