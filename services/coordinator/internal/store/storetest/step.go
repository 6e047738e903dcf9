package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

func testSteps(t *testing.T, db Database) {
	st := db.Open(t)
	steps := []job.Step{
		{At: epoch().Add(time.Second), Phase: job.Queued},
		{At: epoch().Add(3 * time.Second), Phase: job.Leased, Attempt: 1, Miner: accountOf(3)},
		{
			At: epoch().Add(2 * time.Second), Phase: job.Settling, Outcome: job.StatusFailed, Attempt: 2, Miner: accountOf(4),
			Failure: job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR, Message: "it said \x00 no"},
		},
	}
	undo := errors.New("undo")
	err := st.Update(t.Context(), func(tx store.Tx) error {
		require.NoError(t, tx.InsertJob(newJob(1, accountOf(1)), job.Payload{}))
		require.NoError(t, tx.KeepSteps(idOf(1), steps))
		return undo
	})
	require.ErrorIs(t, err, undo)
	update(t, st, func(tx store.Tx) error {
		return errors.Join(tx.InsertJob(newJob(1, accountOf(1)), job.Payload{}), tx.InsertJob(newJob(2, accountOf(1)), job.Payload{}),
			tx.KeepSteps(idOf(1), steps[:1]), tx.KeepSteps(idOf(2), steps[2:]), tx.KeepSteps(idOf(1), nil))
	})
	update(t, st, func(tx store.Tx) error { return tx.KeepSteps(idOf(1), steps[1:]) })
	kept, err := st.Steps(t.Context(), idOf(1))
	require.NoError(t, err)
	require.Equal(t, steps, kept, "in the order they were kept, whatever their times")
	kept, err = st.Steps(t.Context(), idOf(3))
	require.NoError(t, err)
	require.Empty(t, kept)
}
