package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

const (
	insertSteps = `
	INSERT INTO steps (job_id, at_us, phase, outcome, attempt, miner, failure_reason, failure_message)
	SELECT n.job_id, n.at_us, n.phase, n.outcome, n.attempt, n.miner, n.failure_reason, n.failure_message
	FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bytea[], $7::bigint[], $8::bytea[])
		WITH ORDINALITY AS n (job_id, at_us, phase, outcome, attempt, miner, failure_reason, failure_message, place)
	ORDER BY n.place`

	selectSteps = `
	SELECT at_us, phase, outcome, attempt, miner, failure_reason, failure_message
	FROM steps WHERE job_id = $1 ORDER BY place`
)

type stepOf struct {
	job  aitbc.JobID
	step job.Step
}

// KeepSteps implements store.Tx.
func (t *tx) KeepSteps(id aitbc.JobID, steps []job.Step) error {
	if err := t.keepSteps(id, steps); err != nil {
		return fmt.Errorf("keep steps of job %s: %w", id, err)
	}
	return nil
}

func (t *tx) keepSteps(id aitbc.JobID, steps []job.Step) error {
	if _, err := t.existing(id); err != nil {
		return err
	}
	bytes := 0
	for _, s := range steps {
		t.steps = append(t.steps, stepOf{id, s})
		bytes += len(s.Failure.Message)
	}
	return t.wrote(bytes)
}

func (t *tx) queueSteps(batch *pgx.Batch) {
	if len(t.steps) == 0 {
		return
	}
	batch.Queue(insertSteps,
		each(t.steps, func(s stepOf) pgUUID { return uuid(s.job) }),
		each(t.steps, func(s stepOf) int64 { return s.step.At.UnixMicro() }),
		each(t.steps, func(s stepOf) string { return string(s.step.Phase) }),
		each(t.steps, func(s stepOf) string { return string(s.step.Outcome) }),
		each(t.steps, func(s stepOf) int64 { return int64(s.step.Attempt) }),
		each(t.steps, func(s stepOf) []byte { return optional(s.step.Miner[:]) }),
		each(t.steps, func(s stepOf) int64 { return int64(s.step.Failure.Reason) }),
		each(t.steps, func(s stepOf) []byte { return []byte(s.step.Failure.Message) }),
	)
}

// Steps implements store.Reader.
func (s *Store) Steps(ctx context.Context, id aitbc.JobID) (list []job.Step, err error) {
	err = s.list(ctx, func(row pgx.Row) error {
		var step job.Step
		err := row.Scan(toInstant(&step.At), (*string)(&step.Phase), (*string)(&step.Outcome), &step.Attempt,
			toFixed(step.Miner[:]), (*int32)(&step.Failure.Reason), toText(&step.Failure.Message))
		list = append(list, step)
		return err
	}, selectSteps, uuid(id))
	if err != nil {
		return nil, fmt.Errorf("read the steps of job %s: %w", id, err)
	}
	return list, nil
}
