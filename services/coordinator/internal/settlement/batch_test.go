package settlement_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

func TestWhatWaitsTravelsTogether(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		jobs, messages, bytes int
		want                  []int
	}{
		"one":               {jobs: 1, messages: 500, bytes: 1 << 20, want: []int{1}},
		"by count":          {jobs: 25, messages: 10, bytes: 1 << 20, want: []int{10, 10, 5}},
		"by size":           {jobs: 7, messages: 500, bytes: 400, want: []int{3, 3, 1}},
		"one over the size": {jobs: 2, messages: 500, bytes: 10, want: []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.config.MaxMessages, w.config.MaxTxBytes = test.messages, test.bytes
				for range test.jobs {
					w.owe(t, job.SubmitJob)
				}
				w.start(t)
				w.await(t, "escrows", func() bool { return w.book.Owed() == 0 })
				require.Equal(t, test.want, w.chain.Committed())
				require.Equal(t, test.want, w.book.Settles(), "one settle for each transaction")
			})
		})
	}
}

func TestSomeTransactionsFlyAtOnceAndTheRestGathers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.chain.Manual(true)
		w.config.MaxInFlight = 2
		w.start(t)
		synctest.Wait()
		for range 7 {
			w.owe(t, job.SubmitJob)
			w.notify()
			synctest.Wait()
		}
		require.Equal(t, 2, w.chain.Waiting())
		w.chain.Block(0)
		synctest.Wait()
		require.Len(t, w.book.Settles(), 2)
		w.chain.Block(0)
		w.await(t, "escrows", func() bool { return w.book.Owed() == 0 })
		require.Equal(t, []int{1, 1, 5}, w.chain.Committed())
	})
}

func TestNothingWaitsForCompanyWhenIdle(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(t)
		synctest.Wait()
		id := w.owe(t, job.SubmitJob)
		before := time.Now()
		w.notify()
		synctest.Wait()
		require.Equal(t, job.Queued, w.book.Job(id).Phase)
		require.Zero(t, time.Since(before), "no timer was needed")
	})
}

func TestMoreThanMayBeParkedIsFoundBySweeping(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.MaxParked = 2
		for range 6 { // refused, and not believed for a while
			j := w.cast.Job(t, w.chain.Now())
			j.Order.MaxPrice *= 1_000_000
			w.book.Put(j, job.SubmitJob)
		}
		w.start(t)
		w.await(t, "refusals", func() bool { return w.book.Owed() == 0 })
	})
}

func TestSilentSubscriptionCostsSecondsNotJobs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(t)
		synctest.Wait()
		w.chain.Deafen()
		id := w.owe(t, job.SubmitJob)
		before := time.Now()
		w.notify()
		w.await(t, "escrow", func() bool { return w.book.Job(id).Phase == job.Queued })
		require.Less(t, time.Since(before), 5*time.Second)
	})
}
