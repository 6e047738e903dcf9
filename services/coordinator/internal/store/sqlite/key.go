package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const keyColumns = `hash, id, name, scope, account, created_us, expires_us, revoked_us, line, models, spend_per_day_uaitbc, priority`

func scanKey(row scanner) (k store.Key, err error) {
	var models string
	err = row.Scan(toFixed(k.Hash[:]), &k.ID, &k.Name, &k.Scope, toFixed(k.Account[:]),
		toInstant(&k.CreatedAt), toInstant(&k.ExpiresAt), toInstant(&k.RevokedAt), &k.Line, &models, &k.SpendPerDay, &k.Priority)
	if models != "" {
		k.Models = strings.Split(models, ",")
	}
	return k, err
}

func keyValues(k store.Key) []any {
	return []any{
		k.Hash[:], k.ID, k.Name, string(k.Scope), optional(k.Account[:]), required(k.CreatedAt), instant(k.ExpiresAt), instant(k.RevokedAt),
		k.Line, strings.Join(k.Models, ","), int64(k.SpendPerDay), int64(k.Priority),
	}
}

const insertKey = `INSERT INTO api_keys (` + keyColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO `

// KeyByHash implements store.Keys.
func (s *Store) KeyByHash(ctx context.Context, hash aitbc.Hash) (store.Key, error) {
	return s.key(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE hash = ?`, hash[:])
}

// Key implements store.Keys.
func (s *Store) Key(ctx context.Context, id string) (store.Key, error) {
	return s.key(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = ?`, id)
}

func (s *Store) key(ctx context.Context, query string, which any) (k store.Key, err error) {
	err = s.one(ctx, func(row scanner) (err error) {
		k, err = scanKey(row)
		return err
	}, query, which)
	if err != nil {
		return store.Key{}, fmt.Errorf("read key: %w", err)
	}
	return k, nil
}

// PutKey implements store.Keys.
func (s *Store) PutKey(ctx context.Context, k store.Key) error {
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(insertKey+`UPDATE
			SET id = excluded.id, name = excluded.name, scope = excluded.scope, account = excluded.account,
				created_us = excluded.created_us, expires_us = excluded.expires_us, revoked_us = excluded.revoked_us,
				line = excluded.line, models = excluded.models, spend_per_day_uaitbc = excluded.spend_per_day_uaitbc,
				priority = excluded.priority`,
			keyValues(k)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("put key %s: %w", k.ID, err)
	}
	return nil
}

// ListKeys implements store.Keys.
func (s *Store) ListKeys(ctx context.Context) (list []store.Key, err error) {
	err = s.each(ctx, func(row scanner) error {
		k, err := scanKey(row)
		list = append(list, k)
		return err
	}, `SELECT `+keyColumns+` FROM api_keys ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return list, nil
}

// RevokeKey implements store.Keys.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) error {
	err := s.update(ctx, func(t *tx) error {
		return t.changeOne(`UPDATE api_keys SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?`, required(at), id)
	})
	if err != nil {
		return fmt.Errorf("revoke key %s: %w", id, err)
	}
	return nil
}

// RotateKey implements store.Keys.
func (s *Store) RotateKey(ctx context.Context, replaced string, until time.Time, next store.Key) error {
	err := s.update(ctx, func(t *tx) error {
		if err := t.changeOne(`UPDATE api_keys SET expires_us = min(coalesce(expires_us, ?1), ?1) WHERE id = ?2`, required(until), replaced); err != nil {
			return err
		}
		_, err := t.exec(insertKey+`NOTHING`, keyValues(next)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("rotate key %s: %w", replaced, err)
	}
	return nil
}

// changeOne changes one row. Errors: store.ErrNotFound.
func (t *tx) changeOne(query string, args ...any) error {
	n, err := t.changed(query, args...)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	return err
}

// PutAccountKey implements store.Accounts.
func (s *Store) PutAccountKey(ctx context.Context, account aitbc.AccountID, sealed []byte) error {
	err := s.update(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO account_keys (account, sealed) VALUES (?, ?)
			ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed`, account[:], notNull(sealed))
		return err
	})
	if err != nil {
		return fmt.Errorf("put the key of account %s: %w", account, err)
	}
	return nil
}

// AccountKey implements store.Accounts.
func (s *Store) AccountKey(ctx context.Context, account aitbc.AccountID) (sealed []byte, err error) {
	err = s.one(ctx, func(row scanner) error { return row.Scan(&sealed) },
		`SELECT sealed FROM account_keys WHERE account = ?`, account[:])
	if err != nil {
		return nil, fmt.Errorf("read the key of account %s: %w", account, err)
	}
	return sealed, nil
}
