package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// spending names what a run knows of a budget on a day.
type spending struct {
	budget string
	day    store.Day
}

// spent is what a run knows of it.
type spent struct {
	// locked says that before is what the database has, which only this transaction may change.
	locked bool
	before aitbc.Amount
	// more is to be written.
	more aitbc.Amount
}

// The row is written even when there is one: that holds off other transactions, also where there was
// none.
const lockSpent = `
	INSERT INTO spending AS s (budget, day, spent_uaitbc) VALUES ($1, $2, 0)
	ON CONFLICT (budget, day) DO UPDATE SET spent_uaitbc = s.spent_uaitbc
	RETURNING spent_uaitbc::bigint`

// Spent implements store.Tx. It costs a round trip for each budget of a run: nothing is believed,
// because a wrong belief would let money go.
func (t *tx) Spent(budget string, day store.Day) (aitbc.Amount, error) {
	s := t.spentOf(spending{budget, day})
	if !s.locked {
		err := t.begin()
		if err == nil {
			err = t.conn.QueryRow(t.ctx, lockSpent, []byte(budget), int64(day)).Scan((*int64)(&s.before))
		}
		if err != nil {
			return 0, fmt.Errorf("read what %s has spent: %w", budget, err)
		}
		s.locked = true
	}
	return max(0, s.before+s.more), nil
}

// Spend implements store.Tx.
func (t *tx) Spend(budget string, day store.Day, amount aitbc.Amount) error {
	t.spentOf(spending{budget, day}).more += amount
	if err := t.wrote(0); err != nil {
		return fmt.Errorf("note what %s spends: %w", budget, err)
	}
	return nil
}

func (t *tx) spentOf(key spending) *spent {
	s := t.spent[key]
	if s == nil {
		s = &spent{}
		t.spent[key] = s
	}
	return s
}

const addSpent = `
	INSERT INTO spending AS s (budget, day, spent_uaitbc) VALUES ($1, $2, greatest($3::bigint, 0))
	ON CONFLICT (budget, day) DO UPDATE SET spent_uaitbc = greatest(s.spent_uaitbc + $3::bigint, 0)`

// spends reports whether there is spending to write.
func (t *tx) spends() bool {
	for _, s := range t.spent {
		if s.more != 0 {
			return true
		}
	}
	return false
}

// queueSpending writes what was spent, in one order for all, so that two replicas rarely wait for each
// other; when they do, one begins again.
func (t *tx) queueSpending(batch *pgx.Batch) {
	keys := slices.SortedFunc(maps.Keys(t.spent), func(a, b spending) int {
		return cmp.Or(cmp.Compare(a.budget, b.budget), cmp.Compare(a.day, b.day))
	})
	for _, key := range keys {
		if s := t.spent[key]; s.more != 0 {
			batch.Queue(addSpent, []byte(key.budget), int64(key.day), int64(s.more))
		}
	}
}

// spentFlushed notes that the database has what was gathered.
func (t *tx) spentFlushed() {
	for _, s := range t.spent {
		s.before, s.more = max(0, s.before+s.more), 0
	}
}

// SpentOf implements store.Reader.
func (s *Store) SpentOf(ctx context.Context, budget string, day store.Day) (amount aitbc.Amount, err error) {
	err = s.one(ctx, func(row pgx.Row) error { return row.Scan((*int64)(&amount)) },
		`SELECT coalesce(sum(spent_uaitbc), 0)::bigint FROM spending WHERE budget = $1 AND day = $2`, []byte(budget), int64(day))
	if err != nil {
		return 0, fmt.Errorf("read what %s has spent: %w", budget, err)
	}
	return amount, nil
}

const keyRequestColumns = `account, request_id, hash, key_id, seed, created_us, expires_us`

// BeginKeyRequest implements store.Keys.
func (s *Store) BeginKeyRequest(ctx context.Context, r store.KeyRequest, now time.Time, lease time.Duration) (found store.KeyRequest, begun bool, err error) {
	err = pgx.BeginFunc(ctx, s.writing, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `DELETE FROM key_requests WHERE expires_us <= $1`, instant(now)); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `INSERT INTO key_requests (`+keyRequestColumns+`, busy_us) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
			ON CONFLICT (account, request_id) DO NOTHING`,
			r.Account[:], []byte(r.RequestID), r.Hash[:], r.KeyID, r.Seed[:], instant(r.CreatedAt), instant(r.ExpiresAt)); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `UPDATE key_requests SET busy_us = $1 WHERE account = $2 AND request_id = $3 AND busy_us <= $4`,
			instant(now.Add(lease)), r.Account[:], []byte(r.RequestID), instant(now))
		if err != nil {
			return err
		}
		begun = tag.RowsAffected() == 1
		return t.QueryRow(ctx, `SELECT `+keyRequestColumns+` FROM key_requests WHERE account = $1 AND request_id = $2`, r.Account[:], []byte(r.RequestID)).
			Scan(toFixed(found.Account[:]), toText(&found.RequestID), toFixed(found.Hash[:]), &found.KeyID, toFixed(found.Seed[:]),
				toInstant(&found.CreatedAt), toInstant(&found.ExpiresAt))
	})
	if err != nil {
		return store.KeyRequest{}, false, fmt.Errorf("begin key request %q: %w", r.RequestID, opaque(err))
	}
	return found, begun, nil
}

// EndKeyRequest implements store.Keys.
func (s *Store) EndKeyRequest(ctx context.Context, account aitbc.AccountID, requestID string) error {
	_, err := s.writing.Exec(ctx, `UPDATE key_requests SET busy_us = 0 WHERE account = $1 AND request_id = $2`, account[:], []byte(requestID))
	if err != nil {
		return fmt.Errorf("end key request %q: %w", requestID, opaque(err))
	}
	return nil
}
