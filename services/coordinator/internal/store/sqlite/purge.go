package sqlite

import (
	"context"
	"fmt"
	"time"
)

const selectEnded = `
	SELECT completed_us, id FROM jobs INDEXED BY jobs_by_end
	WHERE phase = 'done' AND (completed_us, id) > (?, ?) AND completed_us <= ?
	ORDER BY completed_us, id LIMIT ?`

// Purge implements store.Store.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	err = s.update(ctx, func(t *tx) error {
		var doneUS int64
		var last []byte
		err := t.one(func(row scanner) error { return row.Scan(&doneUS, &last) }, `SELECT completed_us, job_id FROM purged`)
		if err != nil {
			return err
		}
		ids, err := t.ended(&doneUS, last, before, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if _, err := t.exec(`DELETE FROM payloads WHERE job_id = ?`, id); err != nil {
				return err
			}
			if _, err := t.exec(`DELETE FROM results WHERE job_id = ?`, id); err != nil {
				return err
			}
		}
		purged = len(ids)
		_, err = t.exec(`UPDATE purged SET completed_us = ?, job_id = ?`, doneUS, ids[len(ids)-1])
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete prompts and results: %w", err)
	}
	return purged, nil
}

// ended gives the next jobs behind (doneUS, last), and in doneUS when the last of them ended.
func (t *tx) ended(doneUS *int64, last []byte, before time.Time, limit int) (ids [][]byte, err error) {
	stmt, err := t.statements.get(t.ctx, selectEnded)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(t.ctx, *doneUS, last, required(before), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		if err := rows.Scan(doneUS, &id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
