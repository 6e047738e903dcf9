package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Who is alone is leased in the commit that takes its escrow's outcome in: Run has nothing to do with it.
func TestAJobThatIsAloneIsLeasedWithItsEscrow(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.paused = true
		w.restart()
		miner := w.connected(1, 1)
		first, second := w.queue(), w.queue()
		require.Equal(t, job.Leased, w.job(first.ID).Phase)
		require.Equal(t, job.Queued, w.job(second.ID).Phase, "the slot is taken")
		h := miner.lease()
		require.Equal(t, first.ID, h.Job.ID)
		x, err := w.Explain(t.Context(), first.ID)
		require.NoError(t, err)
		require.Len(t, x.Decisions, 1)
		phases, _ := w.explained(first.ID)
		require.Equal(t, []job.Phase{job.Escrowing, job.Queued, job.Leased}, phases)
		miner.finish(h)
		third := w.queue()
		require.Equal(t, job.Queued, w.job(third.ID).Phase, "another waits, and comes first")
	})
}

func TestWithoutALedgerAJobThatIsAloneIsLeasedAsItIsStored(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.ledger.free = true
		w.paused = true
		w.restart()
		miner := w.connected(1, 1)
		j := w.submit()
		require.Equal(t, job.Leased, j.Phase)
		require.Equal(t, j, miner.lease().Job)
		require.Equal(t, job.Queued, w.submit().Phase)
	})
}
