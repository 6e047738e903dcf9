package storetest

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// model is what a store holds, in maps.
type model struct {
	jobs     map[aitbc.JobID]job.Job
	prompts  map[aitbc.JobID]string
	results  map[aitbc.JobID]string
	requests map[string]store.Request // of account 1
	outbox   []store.Owed             // without their jobs
}

func (m model) clone() model {
	return model{maps.Clone(m.jobs), maps.Clone(m.prompts), maps.Clone(m.results), maps.Clone(m.requests), slices.Clone(m.outbox)}
}

const (
	modelJobs    = 12
	modelClients = 3
)

// testModel makes random changes to a store and to a model, some of them undone, some followed by
// a restart, and compares all that can be read after each.
func testModel(t *testing.T, empty func(t testing.TB) Database) {
	rapid.Check(t, func(rt *rapid.T) {
		db := empty(t)
		st := db.Open(t)
		defer func() { require.NoError(rt, st.Close()) }()
		m := model{map[aitbc.JobID]job.Job{}, map[aitbc.JobID]string{}, map[aitbc.JobID]string{}, map[string]store.Request{}, nil}
		for range rapid.IntRange(1, 8).Draw(rt, "transactions") {
			m = transact(rt, st, m)
			if rapid.IntRange(0, 9).Draw(rt, "restart when 0") == 0 {
				require.NoError(rt, st.Close())
				st = db.Open(t)
			}
			requireModel(rt, st, m)
		}
	})
}

// transact makes some changes in one transaction and gives the model afterwards.
func transact(rt *rapid.T, st store.Store, before model) model {
	undo := errors.New("undo")
	after := before.clone()
	changes := []func(*rapid.T, store.Tx, *model){
		insertOne, stepOne, stepOne, stepOne, stepOne, putOneResult, payOne, putOneRequest, forgetSome,
	}
	keep := rapid.IntRange(0, 4).Draw(rt, "undo when 0") > 0
	err := st.Update(rt.Context(), func(tx store.Tx) error {
		for range rapid.IntRange(1, 12).Draw(rt, "changes") {
			rapid.SampledFrom(changes).Draw(rt, "change")(rt, tx, &after)
		}
		if !keep {
			return undo
		}
		return nil
	})
	if !keep {
		require.ErrorIs(rt, err, undo)
		return before
	}
	require.NoError(rt, err)
	return after
}

func drawID(rt *rapid.T) aitbc.JobID { return idOf(rapid.IntRange(0, modelJobs-1).Draw(rt, "job")) }

func insertOne(rt *rapid.T, tx store.Tx, m *model) {
	id := drawID(rt)
	j := newJob(int(id[7]), accountOf(rapid.IntRange(0, modelClients-1).Draw(rt, "client")))
	j.MaxAttempts = 2
	prompt := rapid.String().Draw(rt, "prompt")
	err := tx.InsertJob(j, job.Payload{Prompt: prompt})
	if _, there := m.jobs[id]; there {
		require.ErrorIs(rt, err, job.ErrExists)
		return
	}
	require.NoError(rt, err)
	m.jobs[id], m.prompts[id] = j, prompt
	m.owe(rt, tx, id, job.SubmitJob)
}

// stepOne applies a random step of a job's life, when the job allows it.
func stepOne(rt *rapid.T, tx store.Tx, m *model) {
	id := drawID(rt)
	before, err := tx.Job(id)
	want, there := m.jobs[id]
	if !there {
		require.ErrorIs(rt, err, store.ErrNotFound)
		require.ErrorIs(rt, tx.UpdateJob(newJob(int(id[7]), accountOf(1))), store.ErrNotFound)
		return
	}
	require.NoError(rt, err)
	require.Empty(rt, gocmp.Diff(want, before))
	after, owed, err := drawStep(rt, before)
	if err != nil {
		return
	}
	require.NoError(rt, tx.UpdateJob(after))
	m.jobs[id] = after
	if owed != job.None {
		m.owe(rt, tx, id, owed)
	}
}

func drawStep(rt *rapid.T, j job.Job) (job.Job, job.Message, error) {
	now := epoch().Add(time.Duration(rapid.IntRange(0, 1000).Draw(rt, "second")) * time.Second)
	miner := accountOf(rapid.IntRange(100, 103).Draw(rt, "miner"))
	failure := job.Failure{Reason: 24, Message: "lost"}
	paid := aitbc.Amount(rapid.Int64Range(0, int64(j.Order.MaxPrice)).Draw(rt, "paid"))
	statement := aitbc.Statement{ChainID: "test", JobID: j.ID, Attempt: j.Attempt, Model: j.Model, ComputeUS: 7}
	steps := []func() (job.Job, job.Message, error){
		func() (job.Job, job.Message, error) { return j.Escrowed(now, aitbc.Hash{1}) },
		func() (job.Job, job.Message, error) { return j.EscrowRefused(now, failure) },
		func() (job.Job, job.Message, error) { return j.LeasedTo(now, miner, aitbc.Hash{2}) },
		func() (job.Job, job.Message, error) { return j.Started(now, j.Miner, j.Attempt) },
		func() (job.Job, job.Message, error) { return j.Lost() },
		func() (job.Job, job.Message, error) { return j.Found() },
		func() (job.Job, job.Message, error) {
			return j.Accepted(job.Completion{Statement: statement, MeteredUS: 5, OperatorUS: 6, At: now})
		},
		func() (job.Job, job.Message, error) { return j.AttemptFailed(now, j.Miner, j.Attempt, failure) },
		func() (job.Job, job.Message, error) { return j.GaveUp() },
		func() (job.Job, job.Message, error) { return j.Cancelled(now) },
		func() (job.Job, job.Message, error) { return j.Expired(now) },
		func() (job.Job, job.Message, error) {
			s := job.Settlement{Refunded: j.Order.MaxPrice, Height: 1, BlockTime: now, RefundFinalAt: now}
			if j.Completion != nil {
				s = job.Settlement{Paid: paid, Refunded: j.Order.MaxPrice - paid, Height: 2, BlockTime: now, TxHash: aitbc.Hash{3}, HasReceipt: true}
			}
			return j.Settled(now, s)
		},
	}
	return rapid.SampledFrom(steps).Draw(rt, "step")()
}

func (m *model) owe(rt *rapid.T, tx store.Tx, id aitbc.JobID, kind job.Message) {
	seq, err := tx.Owe(id, kind)
	require.NoError(rt, err)
	for _, o := range m.outbox {
		if o.Job.ID == id && o.Kind == kind {
			require.Equal(rt, o.Seq, seq)
			return
		}
	}
	if n := len(m.outbox); n > 0 {
		require.Greater(rt, seq, m.outbox[n-1].Seq)
	}
	m.outbox = append(m.outbox, store.Owed{Seq: seq, Kind: kind, Job: job.Job{ID: id}})
}

func payOne(rt *rapid.T, tx store.Tx, m *model) {
	id := drawID(rt)
	kind := rapid.SampledFrom([]job.Message{job.SubmitJob, job.RecordReceipt, job.RefundJob}).Draw(rt, "kind")
	require.NoError(rt, tx.Paid(id, kind))
	m.outbox = slices.DeleteFunc(m.outbox, func(o store.Owed) bool { return o.Job.ID == id && o.Kind == kind })
}

func putOneResult(rt *rapid.T, tx store.Tx, m *model) {
	id, result := drawID(rt), string(rapid.SliceOf(rapid.Byte()).Draw(rt, "result"))
	err := tx.PutResult(id, result)
	_, isJob := m.jobs[id]
	_, there := m.results[id]
	switch {
	case there:
		require.ErrorIs(rt, err, job.ErrExists)
	case !isJob:
		require.ErrorIs(rt, err, store.ErrNotFound)
	default:
		require.NoError(rt, err)
		m.results[id] = result
	}
}

func putOneRequest(rt *rapid.T, tx store.Tx, m *model) {
	key := rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(rt, "key")
	r := store.Request{Hash: aitbc.Hash{9}, JobID: drawID(rt), ExpiresAt: epoch().Add(time.Duration(len(m.requests)) * time.Second)}
	err := tx.PutRequest(accountOf(1), key, r)
	if _, isJob := m.jobs[r.JobID]; !isJob {
		require.ErrorIs(rt, err, store.ErrNotFound)
		return
	}
	require.NoError(rt, err)
	m.requests[key] = r
}

func forgetSome(rt *rapid.T, tx store.Tx, m *model) {
	now := epoch().Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "second")) * time.Second)
	n, err := tx.ForgetRequests(now, 99)
	require.NoError(rt, err)
	before := len(m.requests)
	maps.DeleteFunc(m.requests, func(_ string, r store.Request) bool { return !r.ExpiresAt.After(now) })
	require.Equal(rt, before-len(m.requests), n)
}

// requireModel compares all that can be read with the model.
func requireModel(rt *rapid.T, st store.Store, m model) {
	ctx := rt.Context()
	all := slices.SortedFunc(maps.Values(m.jobs), func(a, b job.Job) int { return cmp.Compare(a.ID[7], b.ID[7]) })
	counts := map[job.Status]int64{
		job.StatusPending: 0, job.StatusRunning: 0, job.StatusCompleted: 0, job.StatusFailed: 0, job.StatusCancelled: 0,
	}
	var live []job.Job
	for _, j := range all {
		counts[j.Status()]++
		if j.Phase != job.Done {
			live = append(live, j)
		}
		got, err := st.Job(ctx, j.ID)
		require.NoError(rt, err)
		require.Empty(rt, gocmp.Diff(j, got))
		payload, err := st.Payload(ctx, j.ID)
		require.NoError(rt, err)
		require.Equal(rt, m.prompts[j.ID], payload.Prompt)
		result, err := st.Result(ctx, j.ID)
		if want, there := m.results[j.ID]; there {
			require.NoError(rt, err)
			require.Equal(rt, want, result)
		} else {
			require.ErrorIs(rt, err, store.ErrNotFound)
		}
	}
	got, err := st.Live(ctx, aitbc.JobID{}, modelJobs)
	require.NoError(rt, err)
	require.Empty(rt, gocmp.Diff(live, got))
	gotCounts, err := st.CountByStatus(ctx)
	require.NoError(rt, err)
	require.Equal(rt, counts, gotCounts)
	requireLists(rt, st, all)
	requireOutbox(rt, st, m)
	require.NoError(rt, st.Update(ctx, func(tx store.Tx) error {
		for key, want := range m.requests {
			got, err := tx.Request(accountOf(1), key)
			require.NoError(rt, err)
			require.Equal(rt, want, got)
		}
		return nil
	}))
}

// requireLists walks a random client's jobs page by page.
func requireLists(rt *rapid.T, st store.Store, all []job.Job) {
	q := store.JobQuery{
		Client: accountOf(rapid.IntRange(0, modelClients-1).Draw(rt, "listed client")),
		Status: rapid.SampledFrom([]job.Status{"", job.StatusPending, job.StatusRunning, job.StatusFailed}).Draw(rt, "listed status"),
		Limit:  rapid.IntRange(1, 5).Draw(rt, "page"),
	}
	var want, got []job.Job
	for _, j := range slices.Backward(all) {
		if j.Order.Client == q.Client && (q.Status == "" || q.Status == j.Status()) {
			want = append(want, j)
		}
	}
	for {
		page, err := st.Jobs(rt.Context(), q)
		require.NoError(rt, err)
		require.LessOrEqual(rt, len(page), q.Limit)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		q.Before = page[len(page)-1].ID
		require.LessOrEqual(rt, len(got), len(want), "the pages do not end")
	}
	require.Empty(rt, gocmp.Diff(want, got))
}

func requireOutbox(rt *rapid.T, st store.Store, m model) {
	var want []store.Owed
	for _, o := range m.outbox {
		o.Job = m.jobs[o.Job.ID]
		want = append(want, o)
	}
	var got []store.Owed
	for after := int64(0); ; after = got[len(got)-1].Seq {
		page, err := st.Outbox(rt.Context(), after, 5)
		require.NoError(rt, err)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		require.LessOrEqual(rt, len(got), len(want), "the pages do not end")
	}
	require.Empty(rt, gocmp.Diff(want, got))
}
