package job_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Two histories of a job that part at a backup never give one number to two attempts, and each counts
// its attempts from where it was.
func TestAttemptsOfALostHistoryAreNotGivenAgain(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	lease := func(j job.Job, generation uint32, miner byte) job.Job {
		j.Phase = job.Queued
		j, _, err := j.InGeneration(generation).LeasedTo(began, aitbc.AccountID{miner}, aitbc.Hash{1})
		require.NoError(t, err)
		return j
	}
	backup := lease(job.Job{MaxAttempts: 3}, 0, 1)
	require.EqualValues(t, 1, backup.Attempt, "a job that one process sees from its beginning is numbered plainly")
	lost := lease(lease(backup, 0, 2), 0, 3)
	require.EqualValues(t, 3, lost.Attempt)

	restored := lease(backup, job.Generation(began), 2)
	require.EqualValues(t, 2, restored.Attempts())
	require.Greater(t, restored.Attempt, lost.Attempt)
	again := lease(backup, job.Generation(began.Add(30*time.Second)), 2)
	require.Greater(t, again.Attempt, restored.Attempt, "restored once more")
	later := lease(restored, job.Generation(began.Add(-time.Hour)), 3)
	require.Equal(t, restored.Attempt+1, later.Attempt, "numbers only rise")
	later.Phase = job.Queued
	_, _, err := later.LeasedTo(began, aitbc.AccountID{9}, aitbc.Hash{1})
	require.Error(t, err, "three attempts are three attempts")
}
