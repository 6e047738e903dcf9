package coordinator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/postgres"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/sqlite"
)

// StoreSQLite is the Config.Store of a file in the state folder.
const StoreSQLite = "sqlite"

// isPostgres reports whether the store is a database's URL.
func (c Config) isPostgres() bool {
	return strings.HasPrefix(c.Store, "postgres://") || strings.HasPrefix(c.Store, "postgresql://")
}

func (c Config) validateStore() error {
	if c.Store == "" || c.Store == StoreSQLite || c.isPostgres() {
		return nil
	}
	return errors.New("store: want sqlite or a postgres:// URL") // not the value: it may hold a password
}

// openStore opens the store and brings its tables up to date.
func (c Config) openStore(ctx context.Context) (store.Store, error) {
	if c.isPostgres() {
		st, err := postgres.Open(ctx, c.Store)
		if err != nil {
			return nil, err // not a nil *postgres.Store, which would not be a nil Store
		}
		return st, nil
	}
	st, err := sqlite.Open(ctx, filepath.Join(c.StateDir, "coordinator.db"))
	if err != nil {
		return nil, err
	}
	return st, nil
}

// Migrate brings the tables of the coordinator's store up to date, as a start does. It may be
// called while coordinators run, and by a database role that may do more than theirs.
func Migrate(ctx context.Context, cfg Config) error {
	if err := cfg.validateStore(); err != nil {
		return fmt.Errorf("coordinator configuration: %w", err)
	}
	st, err := cfg.openStore(ctx)
	if err != nil {
		return err
	}
	return st.Close()
}
