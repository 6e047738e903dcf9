package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

func TestWithoutALedgerAJobEndsWithItsResult(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.ledger.free = true
		p := w.connected(1, 1)
		j := w.submit()
		require.Equal(t, job.StatusPending, j.Status())
		require.Empty(t, w.owes(j.ID))
		done := p.finish(p.lease())
		require.Equal(t, job.StatusCompleted, done.Status())
		require.Equal(t, done, w.job(j.ID))
		require.Empty(t, w.owes(j.ID))
		require.Empty(t, w.Stats().Live)

		failed := w.submit()
		p.fail(p.lease(), coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED)
		w.requireJob(failed.ID, job.Done, job.StatusFailed, coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED)
		require.Empty(t, w.owes(failed.ID))
	})
}
