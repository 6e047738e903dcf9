package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// refused gives the n-th job, done because its escrow was refused.
func refused(n int, client aitbc.AccountID) job.Job {
	j := newJob(n, client)
	j.Phase, j.Outcome, j.Failure.Reason, j.CompletedAt = job.Done, job.StatusFailed, 29, epoch()
	return j
}

// populate inserts 12 jobs: the odd ones are account 1's, the even ones account 2's, and those that
// three divides are done.
func populate(t *testing.T, st store.Store) {
	t.Helper()
	update(t, st, func(tx store.Tx) error {
		for _, n := range []int{7, 3, 12, 1, 9, 2, 10, 4, 11, 5, 8, 6} { // the order must not matter
			j := newJob(n, accountOf(2-n%2))
			if n%3 == 0 {
				j = refused(n, accountOf(2-n%2))
			}
			if err := tx.InsertJob(j, job.Payload{}); err != nil {
				return err
			}
		}
		return nil
	})
}

func numbers(list []job.Job) (ns []int) {
	for _, j := range list {
		ns = append(ns, int(j.ID[7]))
	}
	return ns
}

func testJobs(t *testing.T, db Database) {
	st := db.Open(t)
	populate(t, st)
	for _, c := range []struct {
		name  string
		query store.JobQuery
		want  []int
	}{
		{"all of a client", store.JobQuery{Client: accountOf(1), Limit: 99}, []int{11, 9, 7, 5, 3, 1}},
		{"the first page", store.JobQuery{Client: accountOf(2), Limit: 4}, []int{12, 10, 8, 6}},
		{"the next page", store.JobQuery{Client: accountOf(2), Limit: 4, Before: idOf(6)}, []int{4, 2}},
		{"behind the last", store.JobQuery{Client: accountOf(2), Limit: 4, Before: idOf(2)}, nil},
		{"behind an id that is another's", store.JobQuery{Client: accountOf(2), Limit: 1, Before: idOf(7)}, []int{6}},
		{"by status", store.JobQuery{Client: accountOf(1), Status: job.StatusFailed, Limit: 99}, []int{9, 3}},
		{"by status, the next page", store.JobQuery{Client: accountOf(1), Status: job.StatusPending, Limit: 2, Before: idOf(7)}, []int{5, 1}},
		{"a status that no job has", store.JobQuery{Client: accountOf(1), Status: job.StatusCompleted, Limit: 99}, nil},
		{"a client without jobs", store.JobQuery{Client: accountOf(3), Limit: 99}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := st.Jobs(t.Context(), c.query)
			require.NoError(t, err)
			require.Equal(t, c.want, numbers(list))
		})
	}
}

func testLive(t *testing.T, db Database) {
	st := db.Open(t)
	populate(t, st)
	page := func(after aitbc.JobID) []int {
		list, err := st.Live(t.Context(), after, 3)
		require.NoError(t, err)
		return numbers(list)
	}
	require.Equal(t, []int{1, 2, 4}, page(aitbc.JobID{}))
	require.Equal(t, []int{5, 7, 8}, page(idOf(4)))
	update(t, st, func(tx store.Tx) error { return tx.UpdateJob(refused(5, accountOf(1))) })
	require.Equal(t, []int{7, 8, 10}, page(idOf(4)))
	require.Equal(t, []int{11}, page(idOf(10)))
	require.Empty(t, page(idOf(11)))
}

func testCounts(t *testing.T, db Database) {
	st := db.Open(t)
	populate(t, st)
	counts, err := st.CountByStatus(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[job.Status]int64{
		job.StatusPending: 8, job.StatusRunning: 0, job.StatusCompleted: 0, job.StatusFailed: 4, job.StatusCancelled: 0,
	}, counts)
	running := newJob(1, accountOf(1))
	running.Phase, running.Attempt, running.Miner, running.LeasedAt = job.Running, 1, accountOf(5), epoch()
	for range 2 { // the second time it moves nowhere
		update(t, st, func(tx store.Tx) error { return tx.UpdateJob(running) })
	}
	counts, err = st.CountByStatus(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[job.Status]int64{
		job.StatusPending: 7, job.StatusRunning: 1, job.StatusCompleted: 0, job.StatusFailed: 4, job.StatusCancelled: 0,
	}, counts)
}

func testOutbox(t *testing.T, db Database) {
	st := db.Open(t)
	populate(t, st)
	owe := func(n int, kind job.Message) (seq int64) {
		update(t, st, func(tx store.Tx) error { return tx.Owe(idOf(n), kind) })
		owed, err := st.Outbox(t.Context(), 0, 99)
		require.NoError(t, err)
		at := slices.IndexFunc(owed, func(o store.Owed) bool { return o.Job.ID == idOf(n) && o.Kind == kind })
		require.GreaterOrEqual(t, at, 0)
		return owed[at].Seq
	}
	list := func(after int64, limit int) (got []string) {
		owed, err := st.Outbox(t.Context(), after, limit)
		require.NoError(t, err)
		for _, o := range owed {
			got = append(got, fmt.Sprint(o.Job.ID[7], " ", o.Kind))
		}
		return got
	}
	first, second, third := owe(7, job.SubmitJob), owe(2, job.SubmitJob), owe(7, job.RefundJob)
	require.True(t, 0 < first && first < second && second < third)
	require.Equal(t, []string{"7 submit_job", "2 submit_job", "7 refund_job"}, list(0, 9))
	require.Equal(t, []string{"2 submit_job"}, list(first, 1))

	require.Equal(t, second, owe(2, job.SubmitJob), "owing it again gives the old number")
	require.Len(t, list(0, 9), 3)

	for range 2 { // paying what is paid is no error
		update(t, st, func(tx store.Tx) error { return tx.Paid(idOf(7), job.RefundJob) })
	}
	require.Equal(t, []string{"7 submit_job", "2 submit_job"}, list(0, 9))
	require.Greater(t, owe(7, job.RefundJob), third, "a number is never used twice")
	update(t, st, func(tx store.Tx) error {
		return errors.Join(tx.Paid(idOf(7), job.SubmitJob), tx.Paid(idOf(2), job.SubmitJob), tx.Paid(idOf(7), job.RefundJob))
	})
	require.Empty(t, list(0, 9))
	require.Greater(t, owe(4, job.RecordReceipt), third+1, "not even when the outbox was empty")
	require.Error(t, st.Update(t.Context(), func(tx store.Tx) error { return tx.Owe(idOf(1), job.None) }))

	update(t, st, func(tx store.Tx) error { // what is paid may be owed anew, what is owed may be paid
		return errors.Join(tx.Owe(idOf(1), job.SubmitJob), tx.Owe(idOf(2), job.SubmitJob), tx.Owe(idOf(5), job.SubmitJob),
			tx.Paid(idOf(4), job.RecordReceipt), tx.Owe(idOf(4), job.RecordReceipt), tx.Paid(idOf(2), job.SubmitJob),
			tx.Paid(idOf(1), job.SubmitJob), tx.Owe(idOf(1), job.SubmitJob))
	})
	require.ElementsMatch(t, []string{"1 submit_job", "4 record_receipt", "5 submit_job"}, list(0, 9))
}

func testRequests(t *testing.T, db Database) {
	st := db.Open(t)
	populate(t, st)
	get := func(client aitbc.AccountID, id string) (r store.Request, err error) {
		update(t, st, func(tx store.Tx) error {
			r, err = tx.Request(client, id)
			return nil
		})
		return r, err
	}
	gone := func(client aitbc.AccountID, id string) {
		t.Helper()
		_, err := get(client, id)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	request := func(n int) store.Request {
		return store.Request{Hash: aitbc.Hash{byte(n), 31: 7}, JobID: idOf(n), ExpiresAt: epoch().Add(time.Duration(n) * time.Minute)}
	}
	update(t, st, func(tx store.Tx) error {
		return errors.Join(tx.PutRequest(accountOf(1), "a", request(1)), tx.PutRequest(accountOf(2), "a", request(2)),
			tx.PutRequest(accountOf(1), "b", request(3)), tx.PutRequest(accountOf(1), "c", request(4)))
	})
	for n, key := range map[int]string{1: "a", 3: "b", 4: "c"} {
		got, err := get(accountOf(1), key)
		require.NoError(t, err)
		require.Equal(t, request(n), got)
	}
	got, err := get(accountOf(2), "a")
	require.NoError(t, err)
	require.Equal(t, request(2), got, "the scope of a key is its account")

	update(t, st, func(tx store.Tx) error { return tx.PutRequest(accountOf(1), "c", request(5)) })
	got, err = get(accountOf(1), "c")
	require.NoError(t, err)
	require.Equal(t, request(5), got, "replaced")

	var before store.Request
	update(t, st, func(tx store.Tx) (err error) { // as a replica does that finds an expired one
		if before, err = tx.Request(accountOf(1), "c"); err != nil {
			return err
		}
		return tx.PutRequest(accountOf(1), "c", request(6))
	})
	require.Equal(t, request(5), before)

	forget := func(now time.Time, limit int) {
		t.Helper()
		update(t, st, func(tx store.Tx) error { return tx.ForgetRequests(now, limit) })
	}
	forget(request(1).ExpiresAt.Add(-time.Microsecond), 9)
	_, err = get(accountOf(1), "a")
	require.NoError(t, err, "not yet expired")
	forget(request(3).ExpiresAt, 1)
	gone(accountOf(1), "a") // the oldest goes first
	_, err = get(accountOf(1), "b")
	require.NoError(t, err, "in small steps")
	forget(request(3).ExpiresAt, 9)
	gone(accountOf(1), "b")
	gone(accountOf(2), "a")
	got, err = get(accountOf(1), "c")
	require.NoError(t, err)
	require.Equal(t, request(6), got, "not yet expired")

	update(t, st, func(tx store.Tx) error {
		return errors.Join(tx.PutRequest(accountOf(1), "d", request(1)), tx.ForgetRequests(request(1).ExpiresAt, 9),
			tx.PutRequest(accountOf(1), "e", request(1)))
	})
	gone(accountOf(1), "d")
	_, err = get(accountOf(1), "e")
	require.NoError(t, err, "what is put afterwards stays")
}

func testAccountKeys(t *testing.T, db Database) {
	st, ctx := db.Open(t), t.Context()
	for _, sealed := range [][]byte{{0, 1, 0xff}, slices.Repeat([]byte{7}, 200)} { // the second replaces the first
		require.NoError(t, st.PutAccountKey(ctx, accountOf(1), sealed))
		require.NoError(t, st.PutAccountKey(ctx, accountOf(2), []byte("another's")))
		got, err := st.AccountKey(ctx, accountOf(1))
		require.NoError(t, err)
		require.Equal(t, sealed, got)
	}
}
