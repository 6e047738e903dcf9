package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// migrations are numbered from 1 without gaps and only go up; one that was released never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

// scripts gives the migrations' files in their order.
func scripts() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted by name
	if err != nil {
		return nil // only a malformed pattern fails, and a store without tables does not open
	}
	return names
}

// migrationLock is the advisory lock under which a database is migrated: "aitbc" in ASCII.
const migrationLock = 0x6169746263

// migrate applies the migrations that the database lacks, each in a transaction of its own under a
// lock, so that replicas which start together apply each once. A database that is up to date is
// only read: the coordinator may then run as a role that can change no tables.
func (s *Store) migrate(ctx context.Context) error {
	if scripts() == nil {
		return fmt.Errorf("no migrations are embedded")
	}
	version, err := s.version(ctx)
	for err == nil && version < len(scripts()) {
		version, err = s.migrateOnce(ctx)
	}
	if err != nil {
		return err
	}
	if version > len(scripts()) {
		return fmt.Errorf("the store has version %d, made by a newer program; this one knows up to %d", version, len(scripts()))
	}
	return nil
}

// version gives the number of the last migration; 0: there are no tables yet.
func (s *Store) version(ctx context.Context) (version int, err error) {
	var made bool
	if err := s.writing.QueryRow(ctx, `SELECT to_regclass('store_version') IS NOT NULL`).Scan(&made); err != nil || !made {
		return 0, err
	}
	err = s.writing.QueryRow(ctx, `SELECT max(version) FROM store_version`).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("read the store's version: %w", err)
	}
	return version, nil
}

// migrateOnce applies the next migration, unless another replica was faster, and gives the version
// afterwards.
func (s *Store) migrateOnce(ctx context.Context) (version int, err error) {
	err = pgx.BeginFunc(ctx, s.writing, func(tx pgx.Tx) error {
		// The lock ends with the transaction, also when this process dies.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return fmt.Errorf("lock the store's version: %w", err)
		}
		if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS store_version (
			version integer NOT NULL PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
			return fmt.Errorf("make the table of versions: %w", err)
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM store_version`).Scan(&version); err != nil {
			return fmt.Errorf("read the store's version: %w", err)
		}
		if version >= len(scripts()) {
			return nil
		}
		name := scripts()[version]
		script, err := migrations.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read migration %s: %w", name, err)
		}
		// Not prepared: a script has many statements.
		if _, err := tx.Conn().PgConn().Exec(ctx, string(script)).ReadAll(); err != nil {
			return fmt.Errorf("apply migration %s: %w", name, err)
		}
		version++
		_, err = tx.Exec(ctx, `INSERT INTO store_version (version) VALUES ($1)`, version)
		return err
	})
	return version, err
}
