package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// explained gives the phases of the job's history with their attempts, and the reasons.
func (w *world) explained(id aitbc.JobID) (phases []job.Phase, reasons []string) {
	w.t.Helper()
	x, err := w.Explain(w.t.Context(), id)
	require.NoError(w.t, err)
	for _, s := range x.Steps {
		phases = append(phases, s.Phase)
		if !s.Failure.IsZero() {
			reasons = append(reasons, s.Failure.Message)
		}
	}
	return phases, reasons
}

func TestAJobThatWaitsTellsWhyAndForWhom(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		full, away := w.connected(1, 0), w.connected(2, 1)
		away.leave()
		w.queue()
		j := w.queue()
		x, err := w.Explain(t.Context(), j.ID)
		require.NoError(t, err)
		require.Equal(t, 2, x.Place.Position)
		obstacles := map[aitbc.AccountID][]scheduler.Obstacle{}
		for _, f := range x.Findings {
			obstacles[f.Miner] = f.Obstacles
		}
		require.Equal(t, map[aitbc.AccountID][]scheduler.Obstacle{full.id: {scheduler.Full}, away.id: {scheduler.Away}}, obstacles)
		require.Empty(t, x.Decisions)
		place, waits := w.Place(&j)
		require.True(t, waits)
		require.Equal(t, 2, place.Position)
	})
}

func TestAJobThatWasTriedAgainTellsEveryStepAcrossARestart(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.connected(1, 1)
		j := w.queue()
		pass(time.Second)
		h := first.lease()
		second := w.connected(2, 1)
		first.begin(h)
		pass(time.Second)
		first.fail(h, engineError)
		again := second.lease()
		pass(time.Second)
		second.begin(again)
		x, err := w.Explain(t.Context(), j.ID)
		require.NoError(t, err)
		require.Len(t, x.Decisions, 2)
		require.Equal(t, first.id, x.Decisions[0].Miner)
		require.Equal(t, scheduler.ByScore, x.Decisions[1].Choice.By)
		require.Equal(t, 1, x.Decisions[1].Choice.Eligible, "the first one is excluded")
		require.Equal(t, &scheduler.Others{Counts: map[scheduler.Obstacle]int{}}, x.Decisions[0].Others, "the second one was not there")
		require.Equal(t, []scheduler.Finding{{Miner: first.id, Obstacles: []scheduler.Obstacle{scheduler.Excluded}}}, x.Decisions[1].Others.Miners)
		require.Equal(t, map[scheduler.Obstacle]int{scheduler.Excluded: 1}, x.Decisions[1].Others.Counts)

		pass(time.Second)
		second.leave()
		pass(time.Second)
		w.restart()
		second.state.Running = []string{again.Job.Lease().ID()}
		second.connect()
		second.finish(again)
		w.settle()
		phases, reasons := w.explained(j.ID)
		require.Equal(t, []job.Phase{
			job.Escrowing, job.Queued, job.Leased, job.Running, // the first attempt
			job.Queued, job.Leased, job.Running, job.Unknown, job.Running, // the second, with its stream dropped
			job.Settling, job.Done,
		}, phases)
		require.Len(t, reasons, 1)
	})
}

func TestACancelledJobTellsWhoAskedForIt(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		j := w.queue()
		_, err := w.Cancel(t.Context(), clientID, j.ID)
		require.NoError(t, err)
		w.settle()
		phases, reasons := w.explained(j.ID)
		require.Equal(t, []job.Phase{job.Escrowing, job.Queued, job.Settling, job.Done}, phases)
		require.Equal(t, []string{"cancelled by the client", "cancelled by the client"}, reasons)
	})
}

func TestAMinerTellsWhyItGetsNothing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 0)
		w.queue()
		x, err := w.ExplainMiner(miner.id)
		require.NoError(t, err)
		require.Equal(t, []scheduler.Obstacle{scheduler.Full}, x.Obstacles)
		require.Len(t, x.Waiting, 1)
		require.Equal(t, 1, x.Waiting[0].Jobs)
		require.Empty(t, x.Passed, "nobody got anything")
		pass(time.Second)
		other := w.connected(2, 1)
		other.lease()
		x, err = w.ExplainMiner(miner.id)
		require.NoError(t, err)
		require.Len(t, x.Passed, 1)
		require.Equal(t, []scheduler.Obstacle{scheduler.Full}, x.Passed[0].Obstacles)
		x, err = w.ExplainMiner(other.id)
		require.NoError(t, err)
		require.Empty(t, x.Passed, "it got the one job")
		_, err = w.ExplainMiner(aitbc.AccountID{9})
		require.Error(t, err)
	})
}

func TestAModelsOwnSlotsHoldAcrossARestart(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.miner(1, 3)
		p.state.Models[0].Slots = 1
		p.connect()
		first, second := w.queue(), w.queue()
		held := p.lease()
		require.Equal(t, first.ID, held.Job.ID)
		for range 2 {
			x, err := w.Explain(t.Context(), second.ID)
			require.NoError(t, err)
			require.Equal(t, []scheduler.Finding{{Miner: p.id, Obstacles: []scheduler.Obstacle{scheduler.ModelFull}}}, x.Findings)
			w.restart()
			p.state.Running = []string{held.Job.ID.LeaseID(held.Job.Attempt)}
			p.connect()
		}
		p.finish(held)
		p.state.Running = nil
		p.say()
		require.Equal(t, second.ID, p.lease().Job.ID)
	})
}
