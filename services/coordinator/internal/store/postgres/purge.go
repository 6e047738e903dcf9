package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

const (
	lockPurged = `SELECT completed_us, job_id FROM purged FOR UPDATE`

	selectEnded = `
	SELECT completed_us, id FROM done_jobs
	WHERE (completed_us, id) > ($1, $2) AND completed_us <= $3
	ORDER BY completed_us, id LIMIT $4`

	deletePayloads = `DELETE FROM payloads WHERE job_id = ANY($1)`
	deleteResults  = `DELETE FROM results WHERE job_id = ANY($1)`
)

// Purge implements store.Store.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	err = pgx.BeginFunc(ctx, s.writing, func(tx pgx.Tx) error {
		var doneUS int64
		var last aitbc.JobID
		err := tx.QueryRow(ctx, lockPurged).Scan(&doneUS, (*[16]byte)(&last))
		if errors.Is(err, pgx.ErrNoRows) { // nothing was ever deleted
			_, err = tx.Exec(ctx, `INSERT INTO purged (completed_us, job_id) VALUES (0, $1)`, uuid(last))
		}
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, selectEnded, doneUS, uuid(last), instant(before), limit)
		if err != nil {
			return err
		}
		var ids []aitbc.JobID
		_, err = pgx.ForEachRow(rows, []any{&doneUS, (*[16]byte)(&last)}, func() error {
			ids = append(ids, last)
			return nil
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, statement := range []string{deletePayloads, deleteResults} {
			if _, err := tx.Exec(ctx, statement, uuids(ids)); err != nil {
				return err
			}
		}
		purged = len(ids)
		_, err = tx.Exec(ctx, `UPDATE purged SET completed_us = $1, job_id = $2`, doneUS, uuid(last))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete prompts and results: %w", opaque(err))
	}
	return purged, nil
}
