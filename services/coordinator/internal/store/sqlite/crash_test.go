package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/sqlite"
)

// victimStore, when set, makes this test binary the process that TestKilled kills: it commits jobs
// to the store at that path for ever and prints the id of each when it is committed.
const victimStore = "AITBC_TEST_VICTIM_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimStore); path != "" {
		fmt.Fprintln(os.Stderr, commitForEver(context.Background(), path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func commitForEver(ctx context.Context, path string) error {
	st, err := sqlite.Open(ctx, path)
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
			for n := 1; ; n++ {
				j := victimJob(caller, n)
				err := committer.Commit(ctx, func(tx store.Tx) error {
					if err := tx.InsertJob(j, job.Payload{Prompt: "why?"}); err != nil {
						return err
					}
					return tx.Owe(j.ID, job.SubmitJob)
				})
				if err != nil {
					return err
				}
				fmt.Fprintln(os.Stdout, j.ID)
			}
		})
	}
	return group.Wait()
}

func victimJob(caller, n int) job.Job {
	id := aitbc.JobID{0: 1, 4: byte(n >> 8), 5: byte(n), 15: byte(caller)}
	return job.Job{
		ID: id, Order: aitbc.Order{JobID: id, Client: aitbc.AccountID{1}}, Phase: job.Escrowing, SubmittedAt: time.UnixMicro(1).UTC(),
	}
}

func TestKilledProcessLosesNothingItAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	victim := exec.CommandContext(ctx, os.Args[0])
	victim.Env = append(os.Environ(), victimStore+"="+path)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, victim.Start())

	acknowledged := map[string]bool{}
	lines := bufio.NewScanner(out)
	for len(acknowledged) < 500 && lines.Scan() {
		acknowledged[lines.Text()] = true
	}
	require.NoError(t, victim.Process.Kill())
	for lines.Scan() { // what it still said before it died
		acknowledged[lines.Text()] = true
	}
	require.ErrorContains(t, victim.Wait(), "killed")

	st := openStore(t, path)
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
