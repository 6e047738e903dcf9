package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const selectSpent = `SELECT spent_uaitbc FROM spending WHERE budget = ? AND day = ?`

// Spent implements store.Tx. Nobody else writes meanwhile.
func (t *tx) Spent(budget string, day store.Day) (spent aitbc.Amount, err error) {
	err = t.one(func(row scanner) error { return row.Scan(&spent) }, selectSpent, budget, int64(day))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, fmt.Errorf("read what %s has spent: %w", budget, err)
	}
	return spent, nil
}

// Spend implements store.Tx.
func (t *tx) Spend(budget string, day store.Day, amount aitbc.Amount) error {
	_, err := t.exec(`INSERT INTO spending (budget, day, spent_uaitbc) VALUES (?1, ?2, max(?3, 0))
		ON CONFLICT (budget, day) DO UPDATE SET spent_uaitbc = max(spent_uaitbc + ?3, 0)`, budget, int64(day), int64(amount))
	if err != nil {
		return fmt.Errorf("note what %s spends: %w", budget, err)
	}
	return nil
}

// SpentOf implements store.Reader.
func (s *Store) SpentOf(ctx context.Context, budget string, day store.Day) (spent aitbc.Amount, err error) {
	err = s.one(ctx, func(row scanner) error { return row.Scan(&spent) }, selectSpent, budget, int64(day))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, fmt.Errorf("read what %s has spent: %w", budget, err)
	}
	return spent, nil
}

const keyRequestColumns = `account, request_id, hash, key_id, seed, created_us, expires_us`

// BeginKeyRequest implements store.Keys.
func (s *Store) BeginKeyRequest(ctx context.Context, r store.KeyRequest, now time.Time, lease time.Duration) (found store.KeyRequest, begun bool, err error) {
	err = s.update(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM key_requests WHERE expires_us <= ?`, required(now)); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO key_requests (`+keyRequestColumns+`, busy_us) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
			ON CONFLICT (account, request_id) DO NOTHING`,
			r.Account[:], r.RequestID, r.Hash[:], r.KeyID, r.Seed[:], required(r.CreatedAt), required(r.ExpiresAt)); err != nil {
			return err
		}
		n, err := t.changed(`UPDATE key_requests SET busy_us = ? WHERE account = ? AND request_id = ? AND busy_us <= ?`,
			required(now.Add(lease)), r.Account[:], r.RequestID, required(now))
		if err != nil {
			return err
		}
		begun = n == 1
		return t.one(func(row scanner) error {
			return row.Scan(toFixed(found.Account[:]), &found.RequestID, toFixed(found.Hash[:]), &found.KeyID, toFixed(found.Seed[:]),
				toInstant(&found.CreatedAt), toInstant(&found.ExpiresAt))
		}, `SELECT `+keyRequestColumns+` FROM key_requests WHERE account = ? AND request_id = ?`, r.Account[:], r.RequestID)
	})
	if err != nil {
		return store.KeyRequest{}, false, fmt.Errorf("begin key request %q: %w", r.RequestID, err)
	}
	return found, begun, nil
}

// EndKeyRequest implements store.Keys.
func (s *Store) EndKeyRequest(ctx context.Context, account aitbc.AccountID, requestID string) error {
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE key_requests SET busy_us = 0 WHERE account = ? AND request_id = ?`, account[:], requestID)
		return err
	})
	if err != nil {
		return fmt.Errorf("end key request %q: %w", requestID, err)
	}
	return nil
}
