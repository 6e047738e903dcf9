package sqlite

import (
	"context"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const keepStep = `
	INSERT INTO steps (job_id, place, at_us, phase, outcome, attempt, miner, failure_reason, failure_message)
	SELECT ?1, 1 + coalesce(max(place), 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM steps WHERE job_id = ?1`

// KeepSteps implements store.Tx.
func (t *tx) KeepSteps(id aitbc.JobID, steps []job.Step) error {
	for _, s := range steps {
		_, err := t.exec(keepStep, id[:], required(s.At), string(s.Phase), string(s.Outcome), int64(s.Attempt),
			optional(s.Miner[:]), int64(s.Failure.Reason), s.Failure.Message)
		if orphan(err) {
			err = store.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("keep a step of job %s: %w", id, err)
		}
	}
	return nil
}

// Steps implements store.Reader.
func (s *Store) Steps(ctx context.Context, id aitbc.JobID) (list []job.Step, err error) {
	err = s.each(ctx, func(row scanner) error {
		var step job.Step
		err := row.Scan(toInstant(&step.At), &step.Phase, &step.Outcome, &step.Attempt, toFixed(step.Miner[:]),
			&step.Failure.Reason, &step.Failure.Message)
		list = append(list, step)
		return err
	}, `SELECT at_us, phase, outcome, attempt, miner, failure_reason, failure_message FROM steps WHERE job_id = ? ORDER BY place`, id[:])
	if err != nil {
		return nil, fmt.Errorf("read the steps of job %s: %w", id, err)
	}
	return list, nil
}
