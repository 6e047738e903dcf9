package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// deep makes a world whose windows are two jobs wide, with this many jobs in one line.
func deep(t *testing.T, jobs int, test func(*testing.T, *world, []aitbc.JobID)) {
	t.Helper()
	inWorld(t, func(c *dispatch.Config) { c.Window = 2 }, func(t *testing.T, w *world) {
		var ids []aitbc.JobID
		for range jobs {
			ids = append(ids, w.queue().ID)
			pass(time.Second)
		}
		require.Equal(t, jobs, w.Stats().Waiting)
		require.Equal(t, jobs, w.Stats().Live[job.Queued])
		test(t, w, ids)
	})
}

// serve has the miner finish this many jobs and gives them in the order in which they came.
func (p *player) serve(jobs int) (ids []aitbc.JobID) {
	for range jobs {
		h := p.lease()
		ids = append(ids, h.Job.ID)
		p.finish(h)
	}
	return ids
}

func TestADeepLineIsServedInItsOrder(t *testing.T) {
	deep(t, 9, func(t *testing.T, w *world, ids []aitbc.JobID) {
		require.Equal(t, ids, w.connected(1, 1).serve(len(ids)))
		w.settle()
		require.Empty(t, w.Stats().Live)
	})
}

// TestAPriorityGoesPastADeepLine: also past what of it is not in memory, and after a restart, and on
// another replica.
func TestAPriorityGoesPastADeepLine(t *testing.T) {
	deep(t, 9, func(t *testing.T, w *world, ids []aitbc.JobID) {
		var high, low []aitbc.JobID
		for range 4 { // more than a window
			low = append(low, w.queue(func(r *dispatch.SubmitRequest) { r.Priority = aitbc.PriorityLow }).ID)
			high = append(high, w.queue(func(r *dispatch.SubmitRequest) { r.Priority = aitbc.PriorityHigh }).ID)
			pass(time.Second)
		}
		x, err := w.Explain(t.Context(), ids[0])
		require.NoError(t, err)
		require.Equal(t, 5, x.Place.Position)
		other := w.beside()
		took, err := other.Relieve(t.Context(), []int32{1})
		require.NoError(t, err)
		require.Empty(t, took[1], "it has no slot")
		miner := other.connected(1, 1)
		took, err = other.Relieve(t.Context(), []int32{1})
		require.NoError(t, err)
		require.Equal(t, high[:1], took[1])
		require.NoError(t, w.Lost(t.Context(), took[1]))
		require.Equal(t, high[:1], miner.serve(1))
		miner.leave()
		other.stop()
		w.restart()
		require.Equal(t, slices.Concat(high[1:], ids, low), w.connected(2, 1).serve(3+9+4))
		require.Zero(t, w.Stats().Waiting)
	})
}

func TestADeepLineSurvivesARestart(t *testing.T) {
	deep(t, 9, func(t *testing.T, w *world, ids []aitbc.JobID) {
		miner := w.connected(1, 1)
		served := miner.serve(3)
		h := miner.lease()
		miner.leave()
		w.restart()
		require.Equal(t, 5, w.Stats().Waiting)
		miner.state.Running = []string{h.Job.Lease().ID()}
		miner.connect()
		miner.finish(h)
		miner.state.Running = nil
		miner.say()
		served = append(append(served, h.Job.ID), miner.serve(5)...)
		require.Equal(t, ids, served)
	})
}

func TestADeepJobTellsWhereItStands(t *testing.T) {
	deep(t, 9, func(t *testing.T, w *world, ids []aitbc.JobID) {
		var places []int
		for _, id := range ids {
			x, err := w.Explain(t.Context(), id)
			require.NoError(t, err)
			j := w.job(id)
			place, waits := w.Place(&j)
			require.True(t, waits)
			require.Equal(t, *x.Place, place)
			places = append(places, place.Position)
		}
		require.Equal(t, []int{1, 2}, places[:2])
		require.True(t, slices.IsSorted(places))
		require.InDelta(t, 9, places[8], 1)
	})
}

func TestADeepJobIsCancelledAndTimesOutLikeAnyOther(t *testing.T) {
	deep(t, 6, func(t *testing.T, w *world, ids []aitbc.JobID) {
		_, err := w.Cancel(t.Context(), clientID, ids[4])
		require.NoError(t, err)
		require.Equal(t, 5, w.Stats().Waiting)
		w.settle()
		require.Equal(t, job.Done, w.job(ids[4]).Phase)
		pass(10 * time.Minute)
		for _, id := range ids {
			require.NotEqual(t, job.Queued, w.job(id).Phase)
		}
		w.settle()
		require.Empty(t, w.Stats().Live)
	})
}

func TestADeepJobIsWatchedToItsEnd(t *testing.T) {
	deep(t, 5, func(t *testing.T, w *world, ids []aitbc.JobID) {
		watcher := w.watch(ids[4], stream.Cursor{})
		defer watcher.Close()
		words, _ := seen(t, watcher)
		require.Equal(t, "queued", words)
		w.connected(1, 1).serve(5)
		words, _ = seen(t, watcher)
		require.Equal(t, `"`+answer+`" settling`, words)
	})
}

func TestADeepJobMayBeClaimed(t *testing.T) {
	deep(t, 5, func(t *testing.T, w *world, ids []aitbc.JobID) {
		w.paused = true // nothing else is handed out
		w.restart()
		miner := w.connected(1, 1)
		r := request()
		j, err := w.Claim(t.Context(), miner.id, dispatch.Claim{JobID: ids[3], Type: r.Type, Prompt: r.Prompt, Model: r.Model})
		require.NoError(t, err)
		require.Equal(t, job.Leased, j.Phase)
		require.Equal(t, []aitbc.JobID{ids[3]}, miner.serve(1))
		require.Equal(t, 4, w.Stats().Waiting)
	})
}

// TestADeepLineIsRelievedToItsEnd: another replica serves all of it, and nothing of it is left here.
func TestADeepLineIsRelievedToItsEnd(t *testing.T) {
	deep(t, 9, func(t *testing.T, w *world, ids []aitbc.JobID) {
		other := w.beside()
		defer other.stop()
		miner := other.connected(1, 4) // more than a window at once
		for left := len(ids); left > 0; {
			require.True(t, w.Waiting())
			took, err := other.Relieve(t.Context(), []int32{1})
			require.NoError(t, err)
			require.NotEmpty(t, took[1])
			require.NoError(t, w.Lost(t.Context(), took[1]))
			pass(time.Second)
			leases, _ := miner.got()
			for _, h := range leases {
				miner.finish(h)
			}
			left -= len(leases)
			require.Equal(t, left, w.Stats().Waiting)
		}
		require.False(t, w.Waiting())
		require.Empty(t, w.Stats().Live)
	})
}

// What nobody can run keeps a client's other jobs for the model from nobody, however much of it there is.
func TestJobsBehindAWindowThatNobodyCanServeAreFound(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.Window = 2 }, func(t *testing.T, w *world) {
		for range 6 {
			w.queue(func(r *dispatch.SubmitRequest) { r.Digest = aitbc.Hash{7} })
		}
		free := w.queue()
		require.Equal(t, []aitbc.JobID{free.ID}, w.connected(1, 1).serve(1))
	})
}
