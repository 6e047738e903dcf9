package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const keyColumns = `hash, id, name, scope, account, created_us, expires_us, revoked_us, line, models, spend_per_day_uaitbc, priority`

func scanKey(row pgx.Row) (k store.Key, err error) {
	var models string
	err = row.Scan(toFixed(k.Hash[:]), &k.ID, toText(&k.Name), (*string)(&k.Scope), toFixed(k.Account[:]),
		toInstant(&k.CreatedAt), toInstant(&k.ExpiresAt), toInstant(&k.RevokedAt), toText(&k.Line), toText(&models), (*int64)(&k.SpendPerDay), (*int8)(&k.Priority))
	if k.Line == "" {
		k.Line = k.ID
	}
	if models != "" {
		k.Models = strings.Split(models, ",")
	}
	return k, err
}

func keyValues(k store.Key) []any {
	return []any{
		k.Hash[:], k.ID, []byte(k.Name), string(k.Scope), optional(k.Account[:]), instant(k.CreatedAt), instant(k.ExpiresAt), instant(k.RevokedAt),
		[]byte(k.Line), []byte(strings.Join(k.Models, ",")), int64(k.SpendPerDay), int64(k.Priority),
	}
}

const insertKey = `INSERT INTO api_keys (` + keyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (hash) DO `

// KeyByHash implements store.Keys.
func (s *Store) KeyByHash(ctx context.Context, hash aitbc.Hash) (store.Key, error) {
	return s.key(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE hash = $1`, hash[:])
}

// Key implements store.Keys.
func (s *Store) Key(ctx context.Context, id string) (store.Key, error) {
	return s.key(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1`, id)
}

func (s *Store) key(ctx context.Context, query string, which any) (store.Key, error) {
	var k store.Key
	err := s.one(ctx, func(row pgx.Row) (err error) {
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
	_, err := s.writing.Exec(ctx, insertKey+`UPDATE
		SET id = excluded.id, name = excluded.name, scope = excluded.scope, account = excluded.account,
			created_us = excluded.created_us, expires_us = excluded.expires_us, revoked_us = excluded.revoked_us,
			line = excluded.line, models = excluded.models, spend_per_day_uaitbc = excluded.spend_per_day_uaitbc,
				priority = excluded.priority`,
		keyValues(k)...)
	if err != nil {
		return fmt.Errorf("put key %s: %w", k.ID, opaque(err))
	}
	return nil
}

// ListKeys implements store.Keys.
func (s *Store) ListKeys(ctx context.Context) (list []store.Key, err error) {
	err = s.list(ctx, func(row pgx.Row) error {
		k, err := scanKey(row)
		list = append(list, k)
		return err
	}, `SELECT `+keyColumns+` FROM api_keys ORDER BY id COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return list, nil
}

// RevokeKey implements store.Keys.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) error {
	tag, err := s.writing.Exec(ctx, `UPDATE api_keys SET revoked_us = coalesce(revoked_us, $1) WHERE id = $2`, instant(at), id)
	if err == nil && tag.RowsAffected() == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("revoke key %s: %w", id, opaque(err))
	}
	return nil
}

// RotateKey implements store.Keys.
func (s *Store) RotateKey(ctx context.Context, replaced string, until time.Time, next store.Key) error {
	err := pgx.BeginFunc(ctx, s.writing, func(t pgx.Tx) error {
		tag, err := t.Exec(ctx, `UPDATE api_keys SET expires_us = least(expires_us, $1) WHERE id = $2`, instant(until), replaced) // least passes over NULL
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, insertKey+`NOTHING`, keyValues(next)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("rotate key %s: %w", replaced, opaque(err))
	}
	return nil
}

// PutAccountKey implements store.Accounts.
func (s *Store) PutAccountKey(ctx context.Context, account aitbc.AccountID, sealed []byte) error {
	_, err := s.writing.Exec(ctx, `INSERT INTO account_keys (account, sealed) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed`, account[:], notNull(sealed))
	if err != nil {
		return fmt.Errorf("put the key of account %s: %w", account, opaque(err))
	}
	return nil
}

// AccountKey implements store.Accounts.
func (s *Store) AccountKey(ctx context.Context, account aitbc.AccountID) (sealed []byte, err error) {
	err = s.one(ctx, func(row pgx.Row) error { return row.Scan(toOctets(&sealed)) },
		`SELECT sealed FROM account_keys WHERE account = $1`, account[:])
	if err != nil {
		return nil, fmt.Errorf("read the key of account %s: %w", account, err)
	}
	return sealed, nil
}
