package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
)

// migrations are numbered from 1 without gaps and only go up; one that was released never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate applies the migrations that the file lacks, each in a transaction of its own. The file's
// user_version is the number of the last one.
func (s *Store) migrate(ctx context.Context) error {
	scripts, err := fs.Glob(migrations, "migrations/*.sql") // sorted by name
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	var version int
	if err := s.conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("read the store's version: %w", err)
	}
	if version > len(scripts) {
		return fmt.Errorf("the store has version %d, made by a newer program; this one knows up to %d", version, len(scripts))
	}
	for number := version + 1; number <= len(scripts); number++ {
		script, err := migrations.ReadFile(scripts[number-1])
		if err != nil {
			return fmt.Errorf("read migration %d: %w", number, err)
		}
		err = s.update(ctx, func(t *tx) error {
			// Not prepared: a script has many statements.
			_, err := s.conn.ExecContext(t.ctx, fmt.Sprintf("%s;\nPRAGMA user_version = %d", script, number))
			return err
		})
		if err != nil {
			return fmt.Errorf("apply migration %s: %w", scripts[number-1], err)
		}
	}
	return nil
}
