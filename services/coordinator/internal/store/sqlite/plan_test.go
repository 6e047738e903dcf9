package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoQueryScans holds every query to an index: history must not change what a call costs.
func TestNoQueryScans(t *testing.T) {
	t.Parallel()
	st := mustOpen(t)
	for name, query := range map[string]string{
		"a job": selectJob, "jobs of a client": selectJobsOfClient, "jobs of a client by status": selectJobsOfClientByStatus,
		"live jobs": selectLive, "the outbox": selectOutbox, "expired requests": forgetRequests, "first expiry": selectFirstExpiry,
	} {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, st, query)
			for _, step := range plan {
				require.NotContains(t, step, "TEMP B-TREE", "sorts: %q", plan)
				if strings.HasPrefix(step, "SCAN") {
					require.Contains(t, step, "CONSTANT ROW", "reads a whole table: %q", plan)
				}
			}
		})
	}
	require.Contains(t, strings.Join(explain(t, st, selectLive), "\n"), "USING INDEX jobs_live")
}

func explain(t *testing.T, st *Store, query string) (plan []string) {
	t.Helper()
	arguments := make([]any, strings.Count(query, "?"))
	for i := range arguments {
		arguments[i] = 1
	}
	rows, err := st.readDB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, arguments...)
	require.NoError(t, err)
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		plan = append(plan, step)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, plan)
	return plan
}

func TestSettings(t *testing.T) {
	t.Parallel()
	st := mustOpen(t)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
	} {
		var got string
		require.NoError(t, st.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := st.readDB.ExecContext(t.Context(), `DELETE FROM outbox`)
	require.ErrorContains(t, err, "readonly", "a reader cannot write")
}

func TestStoreOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	st, err := Open(t.Context(), path)
	require.NoError(t, err)
	_, err = st.conn.ExecContext(t.Context(), `PRAGMA user_version = 999`)
	require.NoError(t, err)
	require.NoError(t, st.Close())
	_, err = Open(t.Context(), path)
	require.ErrorContains(t, err, "version 999")
}

func mustOpen(t *testing.T) *Store {
	t.Helper()
	st, err := Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}
