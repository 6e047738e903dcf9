package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

func testPurge(t *testing.T, db Database) {
	st := db.Open(t)
	update(t, st, func(tx store.Tx) error {
		for n := range 7 {
			j := refused(n, accountOf(1))
			j.CompletedAt = epoch().Add(time.Duration(6-n) * time.Minute) // the last inserted ended first
			if n == 6 {
				j = waitingJob(n, accountOf(1))
			}
			if err := tx.InsertJob(j, job.Payload{Prompt: "why?"}); err != nil {
				return err
			}
			if err := tx.PutResult(j.ID, "because"); err != nil {
				return err
			}
		}
		return nil
	})
	purge := func(after time.Duration, limit int) int {
		n, err := st.Purge(t.Context(), epoch().Add(after), limit)
		require.NoError(t, err)
		return n
	}
	kept := func() (ns []int) {
		for n := range 7 {
			_, payload := st.Payload(t.Context(), idOf(n))
			_, result := st.Result(t.Context(), idOf(n))
			require.Equal(t, payload == nil, result == nil)
			if payload == nil {
				ns = append(ns, n)
			} else {
				require.ErrorIs(t, payload, store.ErrNotFound)
				require.ErrorIs(t, result, store.ErrNotFound)
			}
			_, err := st.Job(t.Context(), idOf(n))
			require.NoError(t, err, "the job stays")
		}
		return ns
	}
	require.Zero(t, purge(0, 9))
	require.Equal(t, 2, purge(3*time.Minute, 2), "in batches")
	require.Equal(t, []int{0, 1, 2, 3, 6}, kept())
	require.Equal(t, 1, purge(3*time.Minute, 2))
	require.Zero(t, purge(3*time.Minute, 2))
	require.Equal(t, []int{0, 1, 2, 6}, kept())
	require.NoError(t, st.Close())
	st = db.Open(t)
	require.Equal(t, 3, purge(time.Hour, 9))
	require.Equal(t, []int{6}, kept(), "what is not done stays")
}
