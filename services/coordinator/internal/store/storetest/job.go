package storetest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

func testEveryField(t *testing.T, db Database) {
	st := db.Open(t)
	all, covered := map[string]bool{}, map[string]bool{}
	setFields(reflect.ValueOf(filledJob(t, 1)), "Job", all)
	for name, want := range samples(t) {
		setFields(reflect.ValueOf(want), "Job", covered)
		update(t, st, func(tx store.Tx) error { return tx.InsertJob(want, job.Payload{}) })
		requireJob(t, st, want, name+", inserted")

		// The same job, this time by way of an update.
		updated := want
		updated.ID[0]++
		updated.Order.JobID = updated.ID
		submitted := newJob(0, want.Order.Client)
		submitted.ID, submitted.Order, submitted.OrderSignature, submitted.ClientKey, submitted.Salt = updated.ID, updated.Order, want.OrderSignature, want.ClientKey, want.Salt
		submitted.Type, submitted.Model, submitted.PinnedDigest = want.Type, want.Model, want.PinnedDigest
		submitted.QueueTimeout, submitted.TotalTimeout = want.QueueTimeout, want.TotalTimeout
		submitted.ClientLimit, submitted.MaxAttempts, submitted.SubmittedAt, submitted.Budget, submitted.Priority = want.ClientLimit, want.MaxAttempts, want.SubmittedAt, want.Budget, want.Priority
		if want.Attempt > 0 { // attempts never count back, so the update starts at the last
			submitted.Phase, submitted.Attempt, submitted.Miner, submitted.LeasedAt = job.Leased, want.Attempt, want.Miner, want.LeasedAt
		}
		update(t, st, func(tx store.Tx) error {
			return errors.Join(tx.InsertJob(submitted, job.Payload{}), tx.UpdateJob(updated))
		})
		requireJob(t, st, updated, name+", updated")
	}
	require.Equal(t, all, covered, "the samples do not set every field of job.Job: add a state that has the new one")
}

// requireJob reads a job in every way there is.
func requireJob(t *testing.T, st store.Store, want job.Job, name string) {
	t.Helper()
	got, err := st.Job(t.Context(), want.ID)
	require.NoError(t, err, name)
	requireSame(t, want, got, name)
	update(t, st, func(tx store.Tx) (err error) {
		if got, err = tx.Job(want.ID); err != nil {
			return err
		}
		return tx.Owe(want.ID, job.SubmitJob)
	})
	requireSame(t, want, got, name+", in a transaction")
	find := func(list []job.Job, err error) {
		t.Helper()
		require.NoError(t, err, name)
		at := slices.IndexFunc(list, func(j job.Job) bool { return j.ID == want.ID })
		require.GreaterOrEqual(t, at, 0, name)
		requireSame(t, want, list[at], name+", in a list")
	}
	find(st.Jobs(t.Context(), store.JobQuery{Client: want.Order.Client, Limit: 99}))
	find(st.Jobs(t.Context(), store.JobQuery{Client: want.Order.Client, Status: want.Status(), Limit: 99}))
	if want.Phase != job.Done {
		find(st.Live(t.Context(), aitbc.JobID{}, 99))
	}
	owed, err := st.Outbox(t.Context(), 0, 99)
	require.NoError(t, err, name)
	requireSame(t, want, owed[len(owed)-1].Job, name+", in the outbox")
}

// requireSame compares without printing two whole jobs.
func requireSame(t *testing.T, want, got job.Job, name string) {
	t.Helper()
	require.Empty(t, cmp.Diff(want, got), name)
}

// testAsStored writes a job as nobody should, with nanoseconds, another time zone and empty lists,
// and reads it back in every way, one of which may have kept it in memory.
func testAsStored(t *testing.T, db Database) {
	st := db.Open(t)
	want := newJob(1, accountOf(1))
	given := want
	given.SubmittedAt = want.SubmittedAt.Add(999).In(time.FixedZone("elsewhere", 3600))
	given.Excluded, given.LeaseSignature, given.OrderSignature = []aitbc.AccountID{}, []byte{}, []byte{}
	update(t, st, func(tx store.Tx) error { return tx.InsertJob(given, job.Payload{}) })
	requireJob(t, st, want, "inserted")

	want.Phase, want.QueuedAt = job.Queued, epoch()
	given.Phase, given.QueuedAt = job.Queued, epoch().Add(1).Local()
	update(t, st, func(tx store.Tx) error { return tx.UpdateJob(given) })
	requireJob(t, st, want, "updated")
}

func testUpdateKeeps(t *testing.T, db Database) {
	st := db.Open(t)
	want := samples(t)["completed"]
	update(t, st, func(tx store.Tx) error { return tx.InsertJob(want, job.Payload{}) })

	other := filledJob(t, 7)
	changed := want
	changed.Order, changed.Salt, changed.Model, changed.SubmittedAt = other.Order, other.Salt, other.Model, other.SubmittedAt
	changed.Order.MaxPrice = want.Order.MaxPrice
	changed.Completion, changed.Settlement = other.Completion, want.Settlement
	update(t, st, func(tx store.Tx) error { return tx.UpdateJob(changed) })
	requireJob(t, st, want, "a job rewritten with other terms")
}

func testJobExists(t *testing.T, db Database) {
	st := db.Open(t)
	first, second := newJob(1, accountOf(1)), newJob(1, accountOf(2))
	update(t, st, func(tx store.Tx) error { return tx.InsertJob(first, job.Payload{Prompt: "first"}) })
	var refused error
	update(t, st, func(tx store.Tx) error { // the transaction goes on: a refusal is an answer
		refused = tx.InsertJob(second, job.Payload{Prompt: "second"})
		return tx.InsertJob(newJob(2, accountOf(2)), job.Payload{})
	})
	require.ErrorIs(t, refused, job.ErrExists)
	requireJob(t, st, first, "the job that was there")
	requireJob(t, st, newJob(2, accountOf(2)), "the job after the refused one")
	payload, err := st.Payload(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, "first", payload.Prompt)
}

func testNotFound(t *testing.T, db Database) {
	st, ctx := db.Open(t), t.Context()
	nobody := newJob(1, accountOf(1))
	_, err := st.Job(ctx, nobody.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = st.Payload(ctx, nobody.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = st.Result(ctx, nobody.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = st.KeyByHash(ctx, aitbc.Hash{1})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, st.RevokeKey(ctx, "key_1", epoch()), store.ErrNotFound)
	_, err = st.AccountKey(ctx, accountOf(1))
	require.ErrorIs(t, err, store.ErrNotFound)
	said := map[string]error{}
	update(t, st, func(tx store.Tx) error {
		_, said["job"] = tx.Job(nobody.ID)
		_, said["request"] = tx.Request(accountOf(1), "request")
		said["update"] = tx.UpdateJob(nobody)
		said["result"] = tx.PutResult(nobody.ID, "42")
		said["steps"] = tx.KeepSteps(nobody.ID, []job.Step{{At: epoch(), Phase: job.Queued}})
		said["owe"] = tx.Owe(nobody.ID, job.SubmitJob)
		said["put request"] = tx.PutRequest(accountOf(1), "request", store.Request{JobID: nobody.ID, ExpiresAt: epoch()})
		return errors.Join(tx.Paid(nobody.ID, job.SubmitJob), tx.Preload(nobody.ID))
	})
	for name, err := range said {
		require.ErrorIs(t, err, store.ErrNotFound, name)
	}
	list, err := st.Jobs(ctx, store.JobQuery{Client: accountOf(1), Limit: 1})
	require.NoError(t, err)
	require.Empty(t, list)
}

func testAbort(t *testing.T, db Database) {
	st := db.Open(t)
	failure := errors.New("no")
	err := st.Update(t.Context(), func(tx store.Tx) error {
		j := newJob(1, accountOf(1))
		require.NoError(t, tx.InsertJob(j, job.Payload{}))
		require.NoError(t, tx.Owe(j.ID, job.SubmitJob))
		return failure
	})
	require.ErrorIs(t, err, failure)
	require.Panics(t, func() {
		_ = st.Update(t.Context(), func(tx store.Tx) error {
			require.NoError(t, tx.InsertJob(newJob(2, accountOf(1)), job.Payload{}))
			panic("no")
		})
	})
	live, err := st.Live(t.Context(), aitbc.JobID{}, 9)
	require.NoError(t, err)
	require.Empty(t, live)
	owed, err := st.Outbox(t.Context(), 0, 9)
	require.NoError(t, err)
	require.Empty(t, owed)
	counts, err := st.CountByStatus(t.Context())
	require.NoError(t, err)
	require.Zero(t, counts[job.StatusPending])
	update(t, st, func(tx store.Tx) error { return tx.InsertJob(newJob(3, accountOf(1)), job.Payload{}) })
}

func testPayload(t *testing.T, db Database) {
	st := db.Open(t)
	var full job.Payload
	counter := 0
	fill(t, reflect.ValueOf(&full).Elem(), &counter)
	tenth, zero := 0.1, 0.0
	for n, want := range []job.Payload{
		full, {}, {Prompt: "a\x00b"}, {Options: aitbc.Options{Temperature: &tenth, TopP: &zero}},
	} {
		update(t, st, func(tx store.Tx) error { return tx.InsertJob(newJob(n, accountOf(1)), want) })
		got, err := st.Payload(t.Context(), idOf(n))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func testResult(t *testing.T, db Database) {
	st := db.Open(t)
	for n, want := range []string{"", "machine learning", "a\x00b", "\xff\xfe not UTF-8", "line\r\n"} {
		update(t, st, func(tx store.Tx) error {
			return errors.Join(tx.InsertJob(newJob(n, accountOf(1)), job.Payload{}), tx.PutResult(idOf(n), want))
		})
		var again error
		update(t, st, func(tx store.Tx) error {
			again = tx.PutResult(idOf(n), "another")
			return nil
		})
		require.ErrorIs(t, again, job.ErrExists)
		got, err := st.Result(t.Context(), idOf(n))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// refusal is a change of a sample that no store may take.
type refusal struct {
	name string
	// of names the sample.
	of string
	// isNew says that the job is inserted, not updated.
	isNew  bool
	change func(j *job.Job)
}

func refusals() []refusal {
	return []refusal{
		{"a done job comes back to life", "refunded", false, func(j *job.Job) {
			j.Phase, j.Outcome, j.CompletedAt, j.Settlement, j.Failure = job.Queued, "", time.Time{}, nil, job.Failure{}
		}},
		{"a done job ends another way", "refunded", false, func(j *job.Job) { j.Outcome = job.StatusCancelled }},
		{"a settlement vanishes", "refunded", false, func(j *job.Job) { j.Settlement = nil }},
		{"a completion vanishes", "settling", false, func(j *job.Job) { j.Completion, j.Outcome, j.Failure.Reason = nil, job.StatusFailed, 1 }},
		{"attempts are counted back", "being stopped", false, func(j *job.Job) { j.Attempt-- }},
		{"money vanishes", "completed", true, func(j *job.Job) { j.Settlement.Refunded-- }},
		{"money appears", "completed", true, func(j *job.Job) { j.Settlement.Paid++ }},
		{"a negative payment", "completed", true, func(j *job.Job) { j.Settlement.Paid, j.Settlement.Refunded = -1, j.Order.MaxPrice+1 }},
		{"payment without a receipt", "completed", true, func(j *job.Job) { j.Settlement.HasReceipt = false }},
		{"a receipt without its block", "completed", true, func(j *job.Job) { j.Settlement.Height = 0 }},
		{"more metered than our clock saw", "completed", true, func(j *job.Job) { j.Completion.MeteredUS = j.Completion.OperatorUS + 1 }},
		{"completed without a settlement", "completed", true, func(j *job.Job) { j.Settlement = nil }},
		{"settled but not done", "completed", true, func(j *job.Job) { j.Phase, j.CompletedAt = job.Settling, time.Time{} }},
		{"done without an outcome", "completed", true, func(j *job.Job) { j.Outcome = "" }},
		{"done without its time", "completed", true, func(j *job.Job) { j.CompletedAt = time.Time{} }},
		{"failed without a reason", "refunded", true, func(j *job.Job) { j.Failure = job.Failure{} }},
		{"completed with a failure", "completed", true, func(j *job.Job) { j.Failure.Reason = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR }},
		{"a receipt owed without a statement", "settling", true, func(j *job.Job) { j.Completion = nil }},
		{"told to stop but not ending", "being stopped", true, func(j *job.Job) { j.Outcome, j.Failure = "", job.Failure{} }},
		{"ending at work but not told to stop", "being stopped", true, func(j *job.Job) { j.StopBy = time.Time{} }},
		{"at work without a miner", "being stopped", true, func(j *job.Job) { j.Miner = aitbc.AccountID{} }},
		{"an attempt before the escrow", "just submitted", true, func(j *job.Job) { j.Attempt = 1 }},
		{"a phase that does not exist", "just submitted", true, func(j *job.Job) { j.Phase = "resting" }},
		{"a queued job that ends", "just submitted", true, func(j *job.Job) { j.Phase, j.Outcome, j.Failure.Reason = job.Queued, job.StatusCancelled, 1 }},
		{"a negative price limit", "just submitted", true, func(j *job.Job) { j.Order.MaxPrice = -1 }},
	}
}

func testRefused(t *testing.T, db Database) {
	st := db.Open(t)
	base := samples(t)
	for _, j := range base {
		update(t, st, func(tx store.Tx) error { return tx.InsertJob(j, job.Payload{}) })
	}
	for _, c := range refusals() {
		t.Run(c.name, func(t *testing.T) {
			j := deepCopy(base[c.of])
			write := func(tx store.Tx) error { return tx.UpdateJob(j) }
			if c.isNew {
				write = func(tx store.Tx) error { return tx.InsertJob(j, job.Payload{}) }
				j.ID[0]++
				j.Order.JobID = j.ID
				require.NoError(t, rolledBack(t, st, write), "before the change")
			}
			c.change(&j)
			said := rolledBack(t, st, write)
			// A store may leave it to the commit to say so.
			committed := st.Update(t.Context(), write)
			require.Error(t, committed)
			for _, err := range []error{said, committed} {
				require.NotErrorIs(t, err, job.ErrExists)
				require.NotErrorIs(t, err, store.ErrNotFound)
			}
		})
	}
	live, err := st.Live(t.Context(), aitbc.JobID{}, 99)
	require.NoError(t, err)
	require.Len(t, live, 3, "nothing of what was refused was written")
}

// deepCopy copies a job with what it points to.
func deepCopy(j job.Job) job.Job {
	if j.Completion != nil {
		completion := *j.Completion
		j.Completion = &completion
	}
	if j.Settlement != nil {
		settlement := *j.Settlement
		j.Settlement = &settlement
	}
	return j
}

// rolledBack gives what fn says in a transaction that is not committed.
func rolledBack(t *testing.T, st store.Store, fn func(tx store.Tx) error) (said error) {
	t.Helper()
	undo := errors.New("undo")
	require.ErrorIs(t, st.Update(t.Context(), func(tx store.Tx) error {
		said = fn(tx)
		return undo
	}), undo)
	return said
}
