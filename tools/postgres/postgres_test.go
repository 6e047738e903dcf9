package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/postgres"
	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

// asParent, when set, makes this test binary a process that starts a server, prints its URL and
// waits to be killed.
const asParent = "AITBC_TEST_POSTGRES_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(asParent) != "" {
		s, err := postgres.Start(context.Background(), postgres.Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, s.URL("postgres"))
		select {}
	}
	os.Exit(postgrestest.Run(m))
}

func ask(t *testing.T, url, query string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&answer))
	require.NoError(t, conn.Close(t.Context()))
	return answer
}

// folderOf gives the folder in a server's URL.
func folderOf(t *testing.T, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	return config.Host
}

// processesWith counts the living processes whose command line or folder names the text. A zombie
// has neither.
func processesWith(t *testing.T, text string) (n int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, dir := range dirs {
		folder, _ := os.Readlink(filepath.Join(dir, "cwd")) // a process may end between the listing and this
		if strings.HasPrefix(folder, text) {
			n++
		}
	}
	return n
}

func requireGone(t *testing.T, folder string) {
	t.Helper()
	require.Eventually(t, func() bool { return processesWith(t, folder) == 0 }, 30*time.Second, 10*time.Millisecond, "the server and its processes")
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := postgrestest.Start(t), postgrestest.Start(t)
	require.Equal(t, folderOf(t, first), folderOf(t, second), "on one server")
	require.NotEqual(t, ask(t, first, "SELECT current_database()"), ask(t, second, "SELECT current_database()"))
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		require.Equal(t, "on", ask(t, first, "SHOW "+setting))
	}
}

func TestNothingOutlivesAStop(t *testing.T) {
	t.Parallel()
	s, err := postgres.Start(t.Context(), postgres.Options{})
	require.NoError(t, err)
	folder := folderOf(t, s.URL("postgres"))
	require.Positive(t, processesWith(t, folder))
	require.NoError(t, s.Stop())
	requireGone(t, folder)
	require.NoDirExists(t, folder)
	require.NoError(t, s.Stop(), "a second stop does nothing")
}

func TestACommitOutlivesAKill(t *testing.T) {
	t.Parallel()
	s := postgrestest.StartOwn(t, postgres.Options{})
	url := s.URL("postgres")
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	require.NoError(t, err)
	require.NoError(t, s.Kill())
	// The connection's own process outlives the first one until it notices.
	require.Eventually(t, func() bool { return conn.Ping(t.Context()) != nil }, time.Minute, time.Millisecond)
	require.NoError(t, s.Restart(t.Context()))
	require.Equal(t, "yes", ask(t, url, "SELECT answer FROM kept"))
}

func TestNoServerOutlivesAKilledParent(t *testing.T) {
	t.Parallel()
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), asParent+"=1")
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	folder := folderOf(t, strings.TrimSpace(line))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.Positive(t, processesWith(t, folder))

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	requireGone(t, folder)
}

func TestOptionsThatWouldSpoilATestAreRefused(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{"fsync": "durability", "port": "own folder"} {
		_, err := postgres.Start(t.Context(), postgres.Options{Settings: map[string]string{setting: "off"}})
		require.ErrorContains(t, err, want)
	}
}
