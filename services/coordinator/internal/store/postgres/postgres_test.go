package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/postgres"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/storetest"
	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	schemas := schemasOf(t)
	storetest.Run(t, schemas)
	storetest.RunShared(t, schemas)
}

func BenchmarkJobs(b *testing.B) { storetest.Bench(b, schemasOf(b)) }

// schemasOf gives empty databases: schemas of one, which take a tenth of the time to make.
func schemasOf(t testing.TB) func(t testing.TB) storetest.Database {
	base := postgrestest.Start(t)
	var made atomic.Int64
	return func(t testing.TB) storetest.Database {
		name := fmt.Sprintf("schema_%d", made.Add(1))
		execute(t, base, "CREATE SCHEMA "+name)
		address := withParameter(t, base, "search_path", name)
		open := func(t testing.TB) store.Store { return openStore(t, address) }
		// What a dead process leaves behind is what another sees: the server undoes the rest.
		return storetest.Database{Open: open, Crash: open, Replicas: 2, Clear: clearer(address)}
	}
}

// clearer gives a function that deletes all rows, on one connection that it keeps: making one costs
// the server more than the rest.
func clearer(address string) func(t testing.TB) {
	var conn *pgx.Conn
	return func(t testing.TB) {
		t.Helper()
		if conn == nil {
			var err error
			conn, err = pgx.Connect(t.Context(), address)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) }) // the test's own has ended
		}
		var deletes string
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(format('DELETE FROM %I', tablename), ';'), '')
			FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'store_version'`).Scan(&deletes))
		_, err := conn.PgConn().Exec(t.Context(), deletes).ReadAll()
		require.NoError(t, err)
	}
}

func openStore(t testing.TB, address string) *postgres.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) }) // closing twice is harmless
	return st
}

func withParameter(t testing.TB, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// ask reads one value beside every store.
func ask(t testing.TB, address, query string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&answer))
	require.NoError(t, conn.Close(t.Context()))
	return answer
}

// execute runs SQL beside every store.
func execute(t testing.TB, address, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	_, err = conn.PgConn().Exec(t.Context(), sql).ReadAll()
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}
