package sqlite_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/sqlite"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, emptyDatabase)
}

func BenchmarkJobs(b *testing.B) { storetest.Bench(b, emptyDatabase) }

func emptyDatabase(t testing.TB) storetest.Database {
	path := filepath.Join(t.TempDir(), "a name with #, ? and %.db")
	return storetest.Database{
		Open: func(t testing.TB) store.Store { return openStore(t, path) },
		Crash: func(t testing.TB) store.Store {
			left := filepath.Join(t.TempDir(), "left.db")
			copyFile(t, path, left)
			copyFile(t, path+"-wal", left+"-wal")
			return openStore(t, left)
		},
	}
}

func openStore(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) }) // closing twice is harmless here
	return st
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.Create(to)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
}
