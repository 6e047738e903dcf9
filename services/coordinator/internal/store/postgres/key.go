package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const keyColumns = `hash, id, name, scope, account, created_us, expires_us, revoked_us`

func scanKey(row pgx.Row) (k store.Key, err error) {
	err = row.Scan(toFixed(k.Hash[:]), &k.ID, toText(&k.Name), (*string)(&k.Scope), toFixed(k.Account[:]),
		toInstant(&k.CreatedAt), toInstant(&k.ExpiresAt), toInstant(&k.RevokedAt))
	return k, err
}

// KeyByHash implements store.Keys.
func (s *Store) KeyByHash(ctx context.Context, hash aitbc.Hash) (store.Key, error) {
	k, err := scanKey(s.reading.QueryRow(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE hash = $1`, hash[:]))
	if err = found(err); err != nil {
		return store.Key{}, fmt.Errorf("read key: %w", err)
	}
	return k, nil
}

// PutKey implements store.Keys.
func (s *Store) PutKey(ctx context.Context, k store.Key) error {
	_, err := s.writing.Exec(ctx, `INSERT INTO api_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (hash) DO UPDATE
		SET id = excluded.id, name = excluded.name, scope = excluded.scope, account = excluded.account,
			created_us = excluded.created_us, expires_us = excluded.expires_us, revoked_us = excluded.revoked_us`,
		k.Hash[:], k.ID, []byte(k.Name), string(k.Scope), optional(k.Account[:]),
		instant(k.CreatedAt), instant(k.ExpiresAt), instant(k.RevokedAt))
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
	err = found(s.reading.QueryRow(ctx, `SELECT sealed FROM account_keys WHERE account = $1`, account[:]).Scan(toOctets(&sealed)))
	if err != nil {
		return nil, fmt.Errorf("read the key of account %s: %w", account, err)
	}
	return sealed, nil
}
