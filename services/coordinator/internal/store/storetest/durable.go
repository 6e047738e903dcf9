package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// write makes one of everything, in one transaction where that can be.
func write(t *testing.T, st store.Store) {
	t.Helper()
	var early error
	update(t, st, func(tx store.Tx) error {
		early = tx.Owe(idOf(1), job.SubmitJob)
		return errors.Join(tx.InsertJob(newJob(1, accountOf(1)), job.Payload{Prompt: "why?"}), tx.PutResult(idOf(1), "because"),
			tx.PutRequest(accountOf(1), "request", store.Request{JobID: idOf(1), ExpiresAt: epoch()}),
			tx.Owe(idOf(1), job.SubmitJob))
	})
	require.ErrorIs(t, early, store.ErrNotFound)
	require.NoError(t, st.PutKey(t.Context(), store.Key{Hash: aitbc.Hash{1}, ID: "key_1", Scope: store.ScopeAdmin, CreatedAt: epoch()}))
	require.NoError(t, st.PutAccountKey(t.Context(), accountOf(1), []byte("sealed")))
}

// requireWritten checks that what write made is there, and nothing else.
func requireWritten(t *testing.T, st store.Store) {
	t.Helper()
	ctx := t.Context()
	live, err := st.Live(ctx, aitbc.JobID{}, 9)
	require.NoError(t, err)
	require.Equal(t, []job.Job{newJob(1, accountOf(1))}, live)
	payload, err := st.Payload(ctx, idOf(1))
	require.NoError(t, err)
	require.Equal(t, "why?", payload.Prompt)
	result, err := st.Result(ctx, idOf(1))
	require.NoError(t, err)
	require.Equal(t, "because", result)
	owed, err := st.Outbox(ctx, 0, 9)
	require.NoError(t, err)
	require.Len(t, owed, 1)
	counts, err := st.CountByStatus(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, counts[job.StatusPending])
	_, err = st.KeyByHash(ctx, aitbc.Hash{1})
	require.NoError(t, err)
	_, err = st.AccountKey(ctx, accountOf(1))
	require.NoError(t, err)
	update(t, st, func(tx store.Tx) error {
		_, err := tx.Request(accountOf(1), "request")
		return err
	})
}

func testReopen(t *testing.T, db Database) {
	st := db.Open(t)
	write(t, st)
	require.NoError(t, st.Close())
	st = db.Open(t)
	requireWritten(t, st)
	update(t, st, func(tx store.Tx) error { return tx.InsertJob(newJob(2, accountOf(1)), job.Payload{}) })
}

func testCrash(t *testing.T, db Database) {
	st := db.Open(t)
	write(t, st)
	undo := errors.New("undo")
	err := st.Update(t.Context(), func(tx store.Tx) error {
		// Enough of it that an implementation may have put some on disk before the commit.
		prompt := string(make([]byte, 100_000))
		for n := 2; n < 202; n++ {
			require.NoError(t, tx.InsertJob(newJob(n, accountOf(1)), job.Payload{Prompt: prompt}))
		}
		crashed := db.Crash(t)
		live, err := crashed.Live(t.Context(), aitbc.JobID{}, 999)
		require.NoError(t, err)
		require.Equal(t, []job.Job{newJob(1, accountOf(1))}, live)
		require.NoError(t, crashed.Close())
		return undo
	})
	require.ErrorIs(t, err, undo)
	crashed := db.Crash(t)
	requireWritten(t, crashed)
	update(t, crashed, func(tx store.Tx) error { return tx.InsertJob(newJob(2, accountOf(1)), job.Payload{}) })
}

func testIsolation(t *testing.T, db Database) {
	st := db.Open(t)
	write(t, st)
	update(t, st, func(tx store.Tx) error {
		require.NoError(t, tx.UpdateJob(refused(1, accountOf(1))))
		inside, err := tx.Job(idOf(1))
		require.NoError(t, err)
		require.Equal(t, job.Done, inside.Phase)
		outside, err := st.Job(t.Context(), idOf(1))
		require.NoError(t, err)
		require.Equal(t, job.Escrowing, outside.Phase)
		return nil
	})
	after, err := st.Job(t.Context(), idOf(1))
	require.NoError(t, err)
	require.Equal(t, job.Done, after.Phase, "what is committed is seen at once")
}

// testCommitter has many callers change the same and different jobs through a Committer; one in
// ten finds something wrong before its first write, one in fifty after it.
func testCommitter(t *testing.T, db Database) {
	st := db.Open(t)
	const callers, jobs = 32, 20
	var mu sync.Mutex
	var flushed, changes int
	config := store.DefaultCommitterConfig()
	config.Flushed = func(f store.Flush) {
		mu.Lock()
		defer mu.Unlock()
		flushed, changes = flushed+1, changes+f.Changes
	}
	committer, err := store.NewCommitter(st, config)
	require.NoError(t, err)
	running, stop := context.WithCancel(t.Context())
	var loop, group errgroup.Group
	loop.Go(func() error { return committer.Run(running) })
	wrong := errors.New("wrong")
	for caller := range callers {
		group.Go(func() error {
			for i := range jobs {
				n := caller*jobs + i
				err := committer.Commit(t.Context(), func(tx store.Tx) error {
					if n%10 == 9 {
						return wrong
					}
					if err := tx.InsertJob(newJob(n, accountOf(caller)), job.Payload{}); err != nil {
						return err
					}
					if n%50 == 2 {
						return wrong
					}
					return tx.Owe(idOf(n), job.SubmitJob)
				})
				if wants := n%10 == 9 || n%50 == 2; wants != errors.Is(err, wrong) || !wants && err != nil {
					return errors.Join(errors.New("another answer than its own"), err)
				}
				if _, err := st.Job(t.Context(), idOf(n)); (n%10 == 9 || n%50 == 2) != errors.Is(err, store.ErrNotFound) {
					return errors.Join(errors.New("the answer does not tell what was written"), err)
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	stop()
	require.NoError(t, loop.Wait())

	const written = callers*jobs - callers*jobs/10 - 13 // n = 2, 52, ..., 602
	live, err := st.Live(t.Context(), aitbc.JobID{}, callers*jobs)
	require.NoError(t, err)
	require.Len(t, live, written)
	owed, err := st.Outbox(t.Context(), 0, callers*jobs)
	require.NoError(t, err)
	require.Len(t, owed, written, "a job and what it owes commit together")
	require.GreaterOrEqual(t, changes, callers*jobs)
	require.Less(t, flushed, callers*jobs, "changes that wait together share a flush")
}

// testViolation has one of many changes in one transaction break a rule of the tables.
func testViolation(t *testing.T, db Database) {
	st := db.Open(t)
	committer, err := store.NewCommitter(st, store.DefaultCommitterConfig())
	require.NoError(t, err)
	const changes, culprit = 9, 4
	errs := make([]error, changes)
	var waiting, loop errgroup.Group
	running, stop := context.WithCancel(t.Context())
	for n := range changes {
		waiting.Go(func() error {
			errs[n] = committer.Commit(t.Context(), func(tx store.Tx) error {
				j := newJob(n, accountOf(1))
				if n == culprit {
					j.Attempt = 1 // before the escrow
				}
				return tx.InsertJob(j, job.Payload{})
			})
			return nil
		})
	}
	require.Eventually(t, func() bool { return committer.Waiting() == changes }, time.Minute, time.Millisecond)
	loop.Go(func() error { return committer.Run(running) })
	require.NoError(t, waiting.Wait())
	stop()
	require.NoError(t, loop.Wait())
	for n, err := range errs {
		require.Equal(t, n == culprit, err != nil, "%d: %v", n, err)
	}
	live, err := st.Live(t.Context(), aitbc.JobID{}, 99)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2, 3, 5, 6, 7, 8}, numbers(live))
}
