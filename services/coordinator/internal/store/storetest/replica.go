package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// waitingJob gives a job that began to wait when it was submitted.
func waitingJob(n int, client aitbc.AccountID) job.Job {
	j := newJob(n, client)
	j.Phase, j.QueuedAt, j.Shard = job.Queued, epoch(), 1
	return j
}

// insertWaiting inserts the jobs of testWaiting.
func insertWaiting(tx store.Tx) error {
	for n := range 12 {
		if n == 9 {
			continue // below
		}
		j := waitingJob(n, accountOf(n%3))
		switch n {
		case 6:
			j.Model = "other:latest"
		case 7:
			j.Shard = 2
		case 8:
			j.QueueTimeout = time.Second
		}
		if n >= 10 {
			j.Priority = aitbc.PriorityHigh
		}
		if err := tx.InsertJob(j, job.Payload{Prompt: "why?"}); err != nil {
			return err
		}
	}
	return tx.InsertJob(newJob(9, accountOf(0)), job.Payload{})
}

func testWaiting(t *testing.T, db Database) {
	st := db.Open(t)
	update(t, st, insertWaiting)
	query := store.WaitingQuery{Shard: 1, Model: "tiny:latest"}
	line := func(client int, after aitbc.JobID, limit int) []int {
		query.Client, query.After, query.Limit = accountOf(client), after, limit
		list, err := st.Waiting(t.Context(), query)
		require.NoError(t, err)
		return numbers(list)
	}
	require.Equal(t, []int{0, 3}, line(0, aitbc.JobID{}, 9))
	require.Equal(t, []int{1, 4}, line(1, aitbc.JobID{}, 9))
	require.Equal(t, []int{2}, line(2, aitbc.JobID{}, 1))
	require.Equal(t, []int{5, 8}, line(2, idOf(2), 9))
	query.Priority = aitbc.PriorityHigh
	require.Equal(t, []int{10}, line(1, aitbc.JobID{}, 9))
	require.Empty(t, line(0, aitbc.JobID{}, 9))
	query.Priority = aitbc.PriorityNormal

	priority := aitbc.PriorityNormal
	clients := func(model string, after aitbc.AccountID, limit int) []aitbc.AccountID {
		list, err := st.WaitingClients(t.Context(), store.WaitingClientsQuery{Shard: 1, Model: model, Priority: priority, After: after, Limit: limit})
		require.NoError(t, err)
		return list
	}
	require.Equal(t, []aitbc.AccountID{accountOf(0), accountOf(1), accountOf(2)}, clients("tiny:latest", aitbc.AccountID{}, 9))
	require.Equal(t, []aitbc.AccountID{accountOf(1)}, clients("tiny:latest", accountOf(0), 1))
	require.Equal(t, []aitbc.AccountID{accountOf(0)}, clients("other:latest", aitbc.AccountID{}, 9))
	require.Empty(t, clients("nobody:latest", aitbc.AccountID{}, 9))
	priority = aitbc.PriorityHigh
	require.Equal(t, []aitbc.AccountID{accountOf(1), accountOf(2)}, clients("tiny:latest", aitbc.AccountID{}, 9))

	due := func(after time.Duration, limit int) []int {
		list, err := st.Due(t.Context(), 1, epoch().Add(after), limit)
		require.NoError(t, err)
		return numbers(list)
	}
	require.Empty(t, due(time.Second-1, 9))
	require.Equal(t, []int{8}, due(time.Second, 9))
	require.Len(t, due(time.Minute, 99), 10)
	require.Len(t, due(time.Minute, 4), 4)

	requireLines(t, st)

	shards, err := st.Shards(t.Context(), []aitbc.JobID{idOf(1), idOf(7), idOf(77)})
	require.NoError(t, err)
	require.Equal(t, map[aitbc.JobID]int32{idOf(1): 1, idOf(7): 2}, shards)

	update(t, st, func(tx store.Tx) error { // what a miner has does not wait
		j, _, err := waitingJob(8, accountOf(2)).LeasedTo(epoch(), accountOf(7), aitbc.Hash{1})
		if err != nil {
			return err
		}
		return tx.UpdateJob(j)
	})
	require.Equal(t, []int{5}, line(2, idOf(2), 9))
	require.Empty(t, due(time.Second, 9))

	payloads, err := st.Payloads(t.Context(), []aitbc.JobID{idOf(1), idOf(77), idOf(2)})
	require.NoError(t, err)
	require.Equal(t, map[aitbc.JobID]job.Payload{idOf(1): {Prompt: "why?"}, idOf(2): {Prompt: "why?"}}, payloads)
}

// requireLines checks the lines of testWaiting.
func requireLines(t *testing.T, st store.Store) {
	t.Helper()
	lines, err := st.Lines(t.Context(), 1)
	require.NoError(t, err)
	require.ElementsMatch(t, []store.Line{
		{Model: "tiny:latest", Client: accountOf(0), Jobs: 2, Newest: idOf(3)},
		{Model: "tiny:latest", Client: accountOf(1), Jobs: 2, Newest: idOf(4)},
		{Model: "tiny:latest", Client: accountOf(2), Jobs: 3, Newest: idOf(8)},
		{Model: "tiny:latest", Priority: aitbc.PriorityHigh, Client: accountOf(1), Jobs: 1, Newest: idOf(10)},
		{Model: "tiny:latest", Priority: aitbc.PriorityHigh, Client: accountOf(2), Jobs: 1, Newest: idOf(11)},
		{Model: "other:latest", Client: accountOf(0), Jobs: 1, Newest: idOf(6)},
	}, lines)
	lines, err = st.Lines(t.Context(), 3)
	require.NoError(t, err)
	require.Empty(t, lines)
}

func testHeld(t *testing.T, db Database) {
	st := db.Open(t)
	update(t, st, func(tx store.Tx) error {
		for n := range 4 {
			j, _, err := waitingJob(n, accountOf(1)).LeasedTo(epoch(), accountOf(n%2), aitbc.Hash{1})
			if err != nil {
				return err
			}
			j.Shard = int32(1 + n/2)
			if err := tx.InsertJob(j, job.Payload{}); err != nil {
				return err
			}
		}
		return tx.InsertJob(waitingJob(4, accountOf(1)), job.Payload{})
	})
	held := func(q store.HeldQuery) []int {
		list, err := st.Held(t.Context(), q)
		require.NoError(t, err)
		return numbers(list)
	}
	require.ElementsMatch(t, []int{0, 1, 2, 3}, held(store.HeldQuery{}))
	require.ElementsMatch(t, []int{2, 3}, held(store.HeldQuery{Shard: 2}))
	require.ElementsMatch(t, []int{1, 3}, held(store.HeldQuery{Miner: accountOf(1)}))
	require.ElementsMatch(t, []int{3}, held(store.HeldQuery{Miner: accountOf(1), Shard: 2}))
	require.Empty(t, held(store.HeldQuery{Miner: accountOf(5)}))
}

func testEscrows(t *testing.T, db Database) {
	st := db.Open(t)
	update(t, st, func(tx store.Tx) error {
		for n, j := range []job.Job{newJob(0, accountOf(1)), waitingJob(1, accountOf(1)), waitingJob(2, accountOf(1)), waitingJob(3, accountOf(2)), refused(4, accountOf(1))} {
			j.Order.MaxPrice = aitbc.Amount(1 << n)
			if err := tx.InsertJob(j, job.Payload{}); err != nil {
				return err
			}
		}
		return nil
	})
	for client, want := range map[int][2]aitbc.Amount{1: {6, 1}, 2: {8, 0}, 3: {0, 0}} {
		escrowed, waiting, err := st.Escrows(t.Context(), accountOf(client))
		require.NoError(t, err)
		require.Equal(t, want, [2]aitbc.Amount{escrowed, waiting})
	}
}

// lifetime is long enough that nothing ends by it in a test.
const lifetime = time.Hour

func testJoin(t *testing.T, db Database) {
	st := db.Open(t)
	joined, err := st.Join(t.Context(), store.Replica{Name: "one", Address: "127.0.0.1:1", CertHash: aitbc.Hash{3}}, lifetime)
	require.NoError(t, err)
	require.Equal(t, []int32{store.Settling, 1}, joined.Duties, "alone it does everything")
	require.Equal(t, []store.Replica{{ID: joined.Self, Name: "one", Address: "127.0.0.1:1", CertHash: aitbc.Hash{3}}}, joined.Replicas)
	require.Equal(t, map[int32]int64{store.Settling: joined.Self, 1: joined.Self}, joined.Holders)

	again, err := st.Beat(t.Context())
	require.NoError(t, err)
	require.Equal(t, joined, again)
	update(t, st, func(tx store.Tx) error { return tx.InsertJob(newJob(1, accountOf(1)), job.Payload{}) })
	require.NoError(t, st.Leave(t.Context()))
}

// testReplicas is for databases that several stores share.
func testReplicas(t *testing.T, db Database) {
	join := func(name string, lifetime time.Duration) (store.Store, store.Membership) {
		st := db.Open(t)
		m, err := st.Join(t.Context(), store.Replica{Name: name, Address: name}, lifetime)
		require.NoError(t, err)
		return st, m
	}
	insert := func(n int) func(store.Tx) error {
		return func(tx store.Tx) error { // in a shard that is not empty then
			j := waitingJob(n, accountOf(1))
			j.Shard = int32(n)
			return tx.InsertJob(j, job.Payload{})
		}
	}
	first, one := join("one", lifetime)
	second, two := join("two", lifetime)
	require.Equal(t, []int32{store.Settling, 1}, one.Duties)
	require.Equal(t, []int32{2}, two.Duties, "nobody takes what another holds")
	require.NotEqual(t, one.Self, two.Self)
	require.Len(t, two.Replicas, 2)
	update(t, first, insert(1))
	update(t, second, insert(2))

	// A new run of the first takes its place and what it held.
	restarted, three := join("one", lifetime)
	require.Equal(t, []int32{store.Settling, 1}, three.Duties)
	require.ErrorIs(t, first.Update(t.Context(), insert(3)), store.ErrFenced)
	_, err := first.Beat(t.Context())
	require.ErrorIs(t, err, store.ErrFenced)
	update(t, restarted, insert(3))

	// One that leaves gives all it had to who beats next.
	require.NoError(t, restarted.Leave(t.Context()))
	took, err := second.Beat(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int32{store.Settling, 1, 2}, took.Duties)
	require.ErrorIs(t, restarted.Update(t.Context(), insert(4)), store.ErrFenced)

	// One whose time is over is removed by any other, and may write until then.
	silent, four := join("silent", 0)
	require.Equal(t, []int32{3}, four.Duties)
	update(t, silent, insert(4))
	took, err = second.Beat(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int32{store.Settling, 1, 2, 3}, took.Duties)
	require.ErrorIs(t, silent.Update(t.Context(), insert(5)), store.ErrFenced)
	_, err = silent.Beat(t.Context())
	require.ErrorIs(t, err, store.ErrFenced)
	_, err = second.Job(t.Context(), idOf(5))
	require.ErrorIs(t, err, store.ErrNotFound)
}
