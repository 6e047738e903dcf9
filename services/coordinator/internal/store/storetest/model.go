package storetest

import (
	"cmp"
	"errors"
	"fmt"
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
// a restart, and compares all that can be read after each. Where several stores may share the
// database, each change goes to one of them and is read through one of them.
func testModel(t *testing.T, empty func(t testing.TB) Database) {
	db := empty(t)
	rapid.Check(t, func(rt *rapid.T) {
		if db.Clear != nil {
			db.Clear(t)
		} else {
			db = empty(t)
		}
		stores := make([]store.Store, max(1, db.Replicas))
		for i := range stores {
			stores[i] = db.Open(t)
			defer func() { require.NoError(rt, stores[i].Close()) }()
		}
		drawStore := func(what string) *store.Store {
			return &stores[rapid.IntRange(0, len(stores)-1).Draw(rt, what)]
		}
		m := model{map[aitbc.JobID]job.Job{}, map[aitbc.JobID]string{}, map[aitbc.JobID]string{}, map[string]store.Request{}, nil}
		for range rapid.IntRange(1, 8).Draw(rt, "transactions") {
			writing := drawStore("written through")
			m = transact(rt, *writing, m)
			if rapid.IntRange(0, 9).Draw(rt, "restart when 0") == 0 {
				require.NoError(rt, (*writing).Close())
				*writing = db.Open(t)
			}
			reading := *drawStore("read through")
			requireModel(rt, reading, m)
			requireParts(rt, reading, m, drawID(rt))
		}
		for id := range m.jobs {
			requireParts(rt, stores[0], m, id)
		}
	})
}

// step is a change whose every choice has been made. It makes it in a transaction and in the model
// and says where the two part: a transaction may run more than once, so nothing is drawn or judged
// in it.
type step func(tx store.Tx, m *model) error

// transact makes some changes in one transaction and gives the model afterwards.
func transact(rt *rapid.T, st store.Store, before model) model {
	undo := errors.New("undo")
	draws := []func(*rapid.T) step{
		drawInsert, drawStep, drawStep, drawStep, drawStep, drawResult, drawPaid, drawRequest, drawForget, drawPreload,
	}
	keep := rapid.IntRange(0, 4).Draw(rt, "undo when 0") > 0
	steps := make([]step, rapid.IntRange(1, 12).Draw(rt, "changes"))
	for i := range steps {
		steps[i] = rapid.SampledFrom(draws).Draw(rt, "change")(rt)
	}
	var after model
	var parted error
	err := st.Update(rt.Context(), func(tx store.Tx) error {
		after, parted = before.clone(), nil
		for _, take := range steps {
			parted = errors.Join(parted, take(tx, &after))
		}
		if !keep {
			return undo
		}
		return nil
	})
	require.NoError(rt, parted)
	if !keep {
		require.ErrorIs(rt, err, undo)
		return before
	}
	require.NoError(rt, err)
	return after
}

// wants says how an answer differs from the one that the model gives; nil wants none.
func wants(what string, want, got error) error {
	if errors.Is(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got %w, want %w", what, got, want)
}

func drawID(rt *rapid.T) aitbc.JobID { return idOf(rapid.IntRange(0, modelJobs-1).Draw(rt, "job")) }

func drawInsert(rt *rapid.T) step {
	id := drawID(rt)
	j := newJob(int(id[7]), accountOf(rapid.IntRange(0, modelClients-1).Draw(rt, "client")))
	j.MaxAttempts = 2
	prompt := rapid.String().Draw(rt, "prompt")
	return func(tx store.Tx, m *model) error {
		err := tx.InsertJob(j, job.Payload{Prompt: prompt})
		if _, there := m.jobs[id]; there {
			return wants("insert", job.ErrExists, err)
		}
		m.jobs[id], m.prompts[id] = j, prompt
		return errors.Join(wants("insert", nil, err), m.owe(tx, id, job.SubmitJob))
	}
}

// drawStep applies a random step of a job's life, when the job allows it.
func drawStep(rt *rapid.T) step {
	id, take := drawID(rt), drawTransition(rt)
	return func(tx store.Tx, m *model) error {
		before, err := tx.Job(id)
		want, there := m.jobs[id]
		if !there {
			return errors.Join(wants("job", store.ErrNotFound, err),
				wants("update", store.ErrNotFound, tx.UpdateJob(newJob(int(id[7]), accountOf(1)))))
		}
		if diff := gocmp.Diff(want, before); err != nil || diff != "" {
			return fmt.Errorf("job: %w: %s", err, diff)
		}
		after, owed, err := take(before)
		if err != nil {
			return nil //nolint:nilerr // the job does not allow it
		}
		m.jobs[id] = after
		if err := tx.UpdateJob(after); err != nil || owed == job.None {
			return wants("update", nil, err)
		}
		return m.owe(tx, id, owed)
	}
}

func drawTransition(rt *rapid.T) func(j job.Job) (job.Job, job.Message, error) {
	now := epoch().Add(time.Duration(rapid.IntRange(0, 1000).Draw(rt, "second")) * time.Second)
	miner := accountOf(rapid.IntRange(100, 103).Draw(rt, "miner"))
	failure := job.Failure{Reason: 24, Message: "lost"}
	share := rapid.Int64Range(0, 100).Draw(rt, "paid, percent")
	return rapid.SampledFrom([]func(j job.Job) (job.Job, job.Message, error){
		func(j job.Job) (job.Job, job.Message, error) { return j.Escrowed(now, aitbc.Hash{1}) },
		func(j job.Job) (job.Job, job.Message, error) { return j.EscrowRefused(now, failure) },
		func(j job.Job) (job.Job, job.Message, error) { return j.LeasedTo(now, miner, aitbc.Hash{2}) },
		func(j job.Job) (job.Job, job.Message, error) { return j.Started(now, j.Miner, j.Attempt) },
		func(j job.Job) (job.Job, job.Message, error) { return j.Lost() },
		func(j job.Job) (job.Job, job.Message, error) { return j.Found() },
		func(j job.Job) (job.Job, job.Message, error) {
			statement := aitbc.Statement{ChainID: "test", JobID: j.ID, Attempt: j.Attempt, Model: j.Model, ComputeUS: 7}
			return j.Accepted(job.Completion{Statement: statement, MeteredUS: 5, OperatorUS: 6, At: now})
		},
		func(j job.Job) (job.Job, job.Message, error) {
			return j.AttemptFailed(now, j.Miner, j.Attempt, failure)
		},
		func(j job.Job) (job.Job, job.Message, error) { return j.GaveUp() },
		func(j job.Job) (job.Job, job.Message, error) { return j.Cancelled(now) },
		func(j job.Job) (job.Job, job.Message, error) { return j.Expired(now) },
		func(j job.Job) (job.Job, job.Message, error) {
			s := job.Settlement{Refunded: j.Order.MaxPrice, Height: 1, BlockTime: now, RefundFinalAt: now}
			if j.Completion != nil {
				paid := j.Order.MaxPrice * aitbc.Amount(share) / 100
				s = job.Settlement{Paid: paid, Refunded: j.Order.MaxPrice - paid, Height: 2, BlockTime: now, TxHash: aitbc.Hash{3}, HasReceipt: true}
			}
			return j.Settled(now, s)
		},
	}).Draw(rt, "step")
}

func (m *model) owe(tx store.Tx, id aitbc.JobID, kind job.Message) error {
	if !slices.ContainsFunc(m.outbox, owes(id, kind)) {
		m.outbox = append(m.outbox, store.Owed{Kind: kind, Job: job.Job{ID: id}})
	}
	return wants("owe", nil, tx.Owe(id, kind))
}

func owes(id aitbc.JobID, kind job.Message) func(store.Owed) bool {
	return func(o store.Owed) bool { return o.Job.ID == id && o.Kind == kind }
}

func drawPaid(rt *rapid.T) step {
	id := drawID(rt)
	kind := rapid.SampledFrom([]job.Message{job.SubmitJob, job.RecordReceipt, job.RefundJob}).Draw(rt, "kind")
	return func(tx store.Tx, m *model) error {
		m.outbox = slices.DeleteFunc(m.outbox, owes(id, kind))
		return wants("paid", nil, tx.Paid(id, kind))
	}
}

func drawResult(rt *rapid.T) step {
	id, result := drawID(rt), string(rapid.SliceOf(rapid.Byte()).Draw(rt, "result"))
	return func(tx store.Tx, m *model) error {
		err := tx.PutResult(id, result)
		_, isJob := m.jobs[id]
		_, there := m.results[id]
		switch {
		case there:
			return wants("result", job.ErrExists, err)
		case !isJob:
			return wants("result", store.ErrNotFound, err)
		default:
			m.results[id] = result
			return wants("result", nil, err)
		}
	}
}

func drawRequest(rt *rapid.T) step {
	key := rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(rt, "key")
	second := rapid.IntRange(0, 3).Draw(rt, "expires at second")
	r := store.Request{Hash: aitbc.Hash{9}, JobID: drawID(rt), ExpiresAt: epoch().Add(time.Duration(second) * time.Second)}
	reads := rapid.Bool().Draw(rt, "reads it first")
	return func(tx store.Tx, m *model) error {
		if reads {
			got, err := tx.Request(accountOf(1), key)
			if want, there := m.requests[key]; there && (err != nil || want != got) {
				return fmt.Errorf("request: got %v, %w", got, err)
			} else if !there && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("request that is not there: got %v, %w", got, err)
			}
		}
		err := tx.PutRequest(accountOf(1), key, r)
		if _, isJob := m.jobs[r.JobID]; !isJob {
			return wants("put request", store.ErrNotFound, err)
		}
		m.requests[key] = r
		return wants("put request", nil, err)
	}
}

func drawForget(rt *rapid.T) step {
	now := epoch().Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "second")) * time.Second)
	return func(tx store.Tx, m *model) error {
		maps.DeleteFunc(m.requests, func(_ string, r store.Request) bool { return !r.ExpiresAt.After(now) })
		return wants("forget", nil, tx.ForgetRequests(now, 99))
	}
}

func drawPreload(rt *rapid.T) step {
	ids := []aitbc.JobID{drawID(rt), drawID(rt)}
	return func(tx store.Tx, _ *model) error { return wants("preload", nil, tx.Preload(ids...)) }
}

// requireModel compares the lists and counts with the model.
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
	}
	got, err := st.Live(ctx, aitbc.JobID{}, modelJobs)
	require.NoError(rt, err)
	require.Empty(rt, gocmp.Diff(live, got))
	gotCounts, err := st.CountByStatus(ctx)
	require.NoError(rt, err)
	require.Equal(rt, counts, gotCounts)
	requireLists(rt, st, all)
	requireOutbox(rt, st, m)
	requests := map[string]store.Request{}
	require.NoError(rt, st.Update(ctx, func(tx store.Tx) error {
		clear(requests)
		for _, key := range []string{"a", "b", "c", ""} {
			if r, err := tx.Request(accountOf(1), key); err == nil {
				requests[key] = r
			}
		}
		return nil
	}))
	require.Equal(rt, m.requests, requests)
}

// requireParts compares one job and what is kept apart from it.
func requireParts(rt *rapid.T, st store.Store, m model, id aitbc.JobID) {
	ctx := rt.Context()
	j, there := m.jobs[id]
	got, err := st.Job(ctx, id)
	if !there {
		require.ErrorIs(rt, err, store.ErrNotFound)
		return
	}
	require.NoError(rt, err)
	require.Empty(rt, gocmp.Diff(j, got))
	payload, err := st.Payload(ctx, id)
	require.NoError(rt, err)
	require.Equal(rt, m.prompts[id], payload.Prompt)
	result, err := st.Result(ctx, id)
	if want, there := m.results[id]; there {
		require.NoError(rt, err)
		require.Equal(rt, want, result)
	} else {
		require.ErrorIs(rt, err, store.ErrNotFound)
	}
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
	var want, got []store.Owed
	for _, o := range m.outbox {
		o.Job = m.jobs[o.Job.ID]
		want = append(want, o)
	}
	for after := int64(0); ; {
		page, err := st.Outbox(rt.Context(), after, 5)
		require.NoError(rt, err)
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			require.Greater(rt, o.Seq, after, "the numbers rise")
			after, o.Seq = o.Seq, 0
			got = append(got, o)
		}
		require.LessOrEqual(rt, len(got), len(want), "the pages do not end")
	}
	require.Empty(rt, gocmp.Diff(want, got))
}
