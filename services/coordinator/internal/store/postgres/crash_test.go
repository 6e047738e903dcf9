package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/postgres"
	pgserver "github.com/aitbc/aitbc/tools/postgres"
	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

// victimStore, when set, makes this test binary the process that a test kills: it commits jobs to
// the store at that URL for ever and prints the id of each when it is committed.
const victimStore = "AITBC_TEST_VICTIM_STORE"

func TestMain(m *testing.M) {
	if address := os.Getenv(victimStore); address != "" {
		fmt.Fprintln(os.Stderr, commitForEver(context.Background(), address))
		os.Exit(1)
	}
	os.Exit(postgrestest.Run(m))
}

func commitForEver(ctx context.Context, address string) error {
	st, err := postgres.Open(ctx, address)
	if err != nil {
		return err
	}
	committer, err := store.NewCommitter(st, store.DefaultCommitterConfig())
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.Go(func() error { return committer.Run(ctx) })
	for caller := range 8 {
		group.Go(func() error {
			for n := 1; ; {
				j := victimJob(caller, n)
				err := committer.Commit(ctx, insert(j))
				if err != nil && !errors.Is(err, job.ErrExists) {
					continue // the database is away; whether it has the job shows when it is back
				}
				fmt.Fprintln(os.Stdout, j.ID)
				n++
			}
		})
	}
	return group.Wait()
}

// insert makes a job and what it owes.
func insert(j job.Job) func(tx store.Tx) error {
	return func(tx store.Tx) error {
		if err := tx.InsertJob(j, job.Payload{Prompt: "why?"}); err != nil {
			return err
		}
		return tx.Owe(j.ID, job.SubmitJob)
	}
}

func victimJob(caller, n int) job.Job {
	id := aitbc.JobID{0: 1, 4: byte(n >> 8), 5: byte(n), 15: byte(caller)}
	return job.Job{
		ID: id, Order: aitbc.Order{JobID: id, Client: aitbc.AccountID{1}}, Phase: job.Escrowing, MaxAttempts: 3,
		SubmittedAt: time.UnixMicro(1).UTC(),
	}
}

// startVictim runs the process to kill and gives what it acknowledges.
func startVictim(t *testing.T, address string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), victimStore+"="+address)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, victim.Start())
	return victim, bufio.NewScanner(out)
}

// requireKept checks that every acknowledged job is there, and that what is there is whole.
func requireKept(t *testing.T, st store.Store, acknowledged map[string]bool) {
	t.Helper()
	live, err := st.Live(t.Context(), aitbc.JobID{}, 1_000_000)
	require.NoError(t, err)
	owed, err := st.Outbox(t.Context(), 0, 1_000_000)
	require.NoError(t, err)
	require.Len(t, owed, len(live), "a job and what it owes are one")
	counts, err := st.CountByStatus(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(live), counts[job.StatusPending])
	for _, j := range live {
		delete(acknowledged, j.ID.String())
	}
	require.Empty(t, acknowledged, "acknowledged and gone")
}

func TestKilledProcessLosesNothingItAcknowledged(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	victim, lines := startVictim(t, address)
	acknowledged := map[string]bool{}
	for len(acknowledged) < 500 && lines.Scan() {
		acknowledged[lines.Text()] = true
	}
	require.NoError(t, victim.Process.Kill())
	for lines.Scan() { // what it still said before it died
		acknowledged[lines.Text()] = true
	}
	require.ErrorContains(t, victim.Wait(), "killed")
	requireKept(t, openStore(t, address), acknowledged)
}

func TestKilledDatabaseLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartOwn(t, pgserver.Options{})
	address := server.URL("postgres")
	victim, lines := startVictim(t, address)
	acknowledged := map[string]bool{}
	for len(acknowledged) < 500 && lines.Scan() {
		acknowledged[lines.Text()] = true
	}
	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(t.Context()))
	for len(acknowledged) < 2000 && lines.Scan() { // it goes on with the database that came back
		acknowledged[lines.Text()] = true
	}
	require.NoError(t, victim.Process.Kill())
	require.Error(t, victim.Wait())
	requireKept(t, openStore(t, address), acknowledged)
}

func TestStoreGoesOnWhenTheDatabaseComesBack(t *testing.T) {
	t.Parallel()
	server := postgrestest.StartOwn(t, pgserver.Options{})
	st := openStore(t, server.URL("postgres"))
	require.NoError(t, st.Update(t.Context(), insert(victimJob(1, 1))))
	_, err := st.Job(t.Context(), victimJob(1, 1).ID)
	require.NoError(t, err)

	require.NoError(t, server.Kill())
	require.Error(t, st.Update(t.Context(), insert(victimJob(1, 2))))
	require.NoError(t, server.Restart(t.Context()))

	require.NoError(t, st.Update(t.Context(), insert(victimJob(1, 3))), "its old connections are of no concern")
	requireKept(t, st, map[string]bool{victimJob(1, 1).ID.String(): true, victimJob(1, 3).ID.String(): true})
}
