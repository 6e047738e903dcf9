package dispatch_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const coin aitbc.Amount = aitbc.UnitsPerCoin

// within puts a request on a budget of 10 coins a day.
func within(line string) func(*dispatch.SubmitRequest) {
	return func(r *dispatch.SubmitRequest) { r.Budget = dispatch.Budget{Line: line, PerDay: 10 * coin} }
}

func (w *world) spent(line string, at time.Time) aitbc.Amount {
	w.t.Helper()
	spent, err := w.store.SpentOf(w.t.Context(), line, store.DayOf(at))
	require.NoError(w.t, err)
	return spent
}

// requireSpendLimit checks that a submission is refused until its day is over.
func requireSpendLimit(t *testing.T, w *world, line string) {
	t.Helper()
	requireSpent(t, w, within(line))
}

func requireSpent(t *testing.T, w *world, edits ...func(*dispatch.SubmitRequest)) {
	t.Helper()
	r := request()
	for _, edit := range edits {
		edit(&r)
	}
	_, err := w.Submit(t.Context(), r)
	var refusal interface {
		Reason() coordinatorv1.ErrorReason
		RetryAfter() time.Duration
	}
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_SPEND_LIMIT, refusal.Reason())
	now := time.Now()
	require.InDelta(t, store.DayOf(now).End().Sub(now), refusal.RetryAfter(), float64(time.Second))
}

func TestALineOfKeysSpendsSoMuchADay(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.submit(within("a")) // up to 6 coins
		w.settle()
		requireSpendLimit(t, w, "a")
		w.submit(within("b")) // another line of the same account
		w.settle()
		w.restart()
		requireSpendLimit(t, w, "a")
		require.Equal(t, 6*coin, w.spent("a", time.Now()))

		_, err := w.Cancel(t.Context(), clientID, first.ID)
		require.NoError(t, err)
		w.settle()
		require.Zero(t, w.spent("a", time.Now()), "what comes back may be spent again")
		w.submit(within("a"))
		w.settle()
		pass(24 * time.Hour)
		w.submit(within("a")) // another day
	})
}

func TestAnAccountSpendsSoMuchADay(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.Quotas.SpendPerDay = 10 * coin }, func(t *testing.T, w *world) {
		other := w.beside()
		first := w.submit() // up to 6 coins
		requireSpent(t, w)
		requireSpent(t, w, within("a"))
		requireSpent(t, other)
		other.stop()
		w.settle()
		w.restart()
		requireSpent(t, w)
		require.Equal(t, 6*coin, w.spent(clientID.String(), time.Now()))

		r := request()
		left, _, err := w.Available(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, 4*coin, left)

		_, err = w.Cancel(t.Context(), clientID, first.ID)
		require.NoError(t, err)
		w.settle()
		require.Zero(t, w.spent(clientID.String(), time.Now()), "what comes back may be spent again")
		w.submit(within("a"))
		require.Equal(t, []aitbc.Amount{6 * coin, 6 * coin}, []aitbc.Amount{w.spent("a", time.Now()), w.spent(clientID.String(), time.Now())})
		w.settle()
		pass(24 * time.Hour)
		w.submit() // another day
	})
}

func TestARepeatSpendsNothing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		named := func(r *dispatch.SubmitRequest) { within("a")(r); r.RequestID = "once" }
		first := w.submit(named)
		require.Equal(t, first.ID, w.submit(named).ID)
		require.Equal(t, 6*coin, w.spent("a", time.Now()))
		other := func(r *dispatch.SubmitRequest) { named(r); r.Budget.Line = "of its successor" }
		require.Equal(t, first.ID, w.submit(other).ID, "the account's name, whichever key it comes with")
	})
}

func TestJobsAtOnceStayWithinTheBudget(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var mu sync.Mutex
		taken := 0
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				r := request()
				within("a")(&r)
				r.MaxPrice = coin
				if _, err := w.Submit(t.Context(), r); err == nil {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		require.Equal(t, 10, taken)
		require.Equal(t, 10*coin, w.spent("a", time.Now()))
	})
}

func TestWhatIsLeftToSpend(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		left := func(edits ...func(*dispatch.SubmitRequest)) aitbc.Amount {
			r := request()
			for _, edit := range edits {
				edit(&r)
			}
			available, priced, err := w.Available(t.Context(), r)
			require.NoError(t, err)
			require.True(t, priced)
			return available
		}
		before := left()
		require.Equal(t, 10*coin, left(within("a")))
		w.submit(within("a"))
		require.Equal(t, before-6*coin, left(), "it waits to be escrowed")
		require.Equal(t, 4*coin, left(within("a")))
	})
}
