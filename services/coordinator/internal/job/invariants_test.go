package job_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// drawStep draws any event with any arguments, sensible or not.
func drawStep(rt *rapid.T, j job.Job, now time.Time) (string, step) {
	miner := rapid.SampledFrom([]aitbc.AccountID{minerA, minerB, {0xc}, {0xd}, j.Miner, j.Miner}).Draw(rt, "miner")
	attempt := rapid.SampledFrom([]uint32{j.Attempt, j.Attempt, j.Attempt, 0, 1, 2}).Draw(rt, "attempt")
	reason := coordinatorv1.ErrorReason(rapid.Int32Range(1, 34).Draw(rt, "reason"))
	failure := job.Failure{Reason: reason, Message: "why"}
	stopped := rapid.Bool().Draw(rt, "stopped")
	hasReceipt := j.Completion != nil && rapid.Bool().Draw(rt, "receipt")
	all := []named[step]{
		{"escrowed", func(j job.Job) (job.Job, job.Message, error) { return j.Escrowed(now, aitbc.Hash{1}) }},
		{"refused", func(j job.Job) (job.Job, job.Message, error) { return j.EscrowRefused(now, failure) }},
		{"leased", func(j job.Job) (job.Job, job.Message, error) { return j.LeasedTo(now, miner, aitbc.Hash{2}) }},
		{"started", func(j job.Job) (job.Job, job.Message, error) { return j.Started(now, miner, attempt) }},
		{"lost", streamLost},
		{"found", func(j job.Job) (job.Job, job.Message, error) { return j.Found() }},
		{"accepted", func(j job.Job) (job.Job, job.Message, error) {
			return j.Accepted(job.Completion{Statement: aitbc.Statement{Attempt: attempt, Stopped: stopped}, At: now})
		}},
		{"failed", func(j job.Job) (job.Job, job.Message, error) { return j.AttemptFailed(now, miner, attempt, failure) }},
		{"gave up", func(j job.Job) (job.Job, job.Message, error) { return j.GaveUp() }},
		{"cancelled", func(j job.Job) (job.Job, job.Message, error) { return j.Cancelled(now) }},
		{"expired", func(j job.Job) (job.Job, job.Message, error) { return j.Expired(now) }},
		{"settled", func(j job.Job) (job.Job, job.Message, error) {
			return j.Settled(now, job.Settlement{HasReceipt: hasReceipt, Refunded: j.Order.MaxPrice, Height: 1})
		}},
	}
	// The likely next step is drawn more often, so that walks get far.
	likely := map[job.Phase]int{job.Escrowing: 0, job.Queued: 2, job.Leased: 3, job.Running: 6, job.Unknown: 5, job.Settling: 11, job.Done: 11}[j.Phase]
	if rapid.Bool().Draw(rt, "likely") {
		return all[likely].name, all[likely].is
	}
	chosen := rapid.SampledFrom(all).Draw(rt, "event")
	return chosen.name, chosen.is
}

func TestNoWalkBreaksAnInvariant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		j := newJob()
		j.MaxAttempts = rapid.Uint32Range(1, 3).Draw(rt, "attempts")
		j.ClientLimit = rapid.Bool().Draw(rt, "client limit")
		now, owed := submitted, map[job.Message]int{job.SubmitJob: 1}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(30*time.Second)).Draw(rt, "wait")))
			name, take := drawStep(rt, j, now)
			copied := j
			copied.Excluded = append([]aitbc.AccountID(nil), j.Excluded...)
			next, message, err := take(j)
			require.Empty(rt, cmp.Diff(copied, j), "%s changed the job it was given", name)
			if err != nil {
				require.Empty(rt, cmp.Diff(j, next), "%s was refused and changed the job", name)
				require.Equal(rt, job.None, message, "%s was refused and owes", name)
				continue
			}
			requireStep(rt, name, j, next, message, now)
			requireSound(rt, name, next)
			if owed[message]++; message != job.None {
				require.Equal(rt, 1, owed[message], "%s is owed a second time", message)
			}
			j = next
		}
		require.LessOrEqual(rt, owed[job.RecordReceipt]+owed[job.RefundJob], 1, "a job is paid or refunded, not both")
	})
}

// requireStep checks what may change in one step.
func requireStep(rt *rapid.T, name string, before, after job.Job, owed job.Message, now time.Time) {
	if before.Phase == job.Done {
		require.Empty(rt, cmp.Diff(before, after), "%s changed a job that was done", name)
		return
	}
	if after.Phase == job.Done {
		require.True(rt, name == "settled" || name == "refused", "%s ended it, but only the ledger may", name)
		require.Equal(rt, now, after.CompletedAt)
	}
	handedOver := name == "leased"
	require.Equal(rt, handedOver, after.Attempt == before.Attempt+1, "attempts count hand-overs")
	require.True(rt, handedOver || after.Attempt == before.Attempt)
	if handedOver {
		require.False(rt, before.Excludes(after.Miner), "an excluded miner got it again")
	}
	require.GreaterOrEqual(rt, len(after.Excluded), len(before.Excluded), "an exclusion was lifted")
	toRefund := before.Phase != job.Settling && after.Phase == job.Settling && after.Completion == nil
	require.Equal(rt, toRefund, owed == job.RefundJob, "a refund is owed exactly by who starts settling without a result")
	nowAccepted := before.Completion == nil && after.Completion != nil
	require.Equal(rt, nowAccepted, owed == job.RecordReceipt, "a receipt is owed exactly by who accepts a result")
	if before.Completion != nil {
		require.True(rt, name == "settled" || cmp.Equal(before, after), "%s changed a job whose result was accepted", name)
	}
	if before.Phase == job.Escrowing && after.HasLease() {
		require.Fail(rt, "it ran before its escrow was committed")
	}
}

// requireSound checks what holds in every state.
func requireSound(rt *rapid.T, name string, j job.Job) {
	terminal := j.Status() == job.StatusCompleted || j.Status() == job.StatusFailed || j.Status() == job.StatusCancelled
	require.Equal(rt, j.Phase == job.Done, terminal, name)
	require.Equal(rt, j.Phase == job.Done, !j.CompletedAt.IsZero(), name)
	require.LessOrEqual(rt, j.Attempt, j.MaxAttempts, name)
	if j.Phase == job.Settling || j.Phase == job.Done {
		require.NotEmpty(rt, j.Outcome, name)
		require.True(rt, j.Deadline().IsZero(), "%s: a timeout runs while the ledger decides", name)
	}
	if j.Phase == job.Queued || j.HasLease() {
		require.False(rt, j.Deadline().IsZero(), "%s: it could wait for ever", name)
		requireDeadline(rt, j)
	}
	if j.Phase != job.Queued {
		ends := j.Outcome == job.StatusFailed || j.Outcome == job.StatusCancelled
		require.Equal(rt, ends, !j.Failure.IsZero(), "%s: outcome %q, failure %v", name, j.Outcome, j.Failure)
	}
	require.Equal(rt, j.HasLease() && j.Outcome != "", !j.StopBy.IsZero(), "%s: told to stop or not", name)
}

// requireDeadline checks that the timeout applies at its time and not a moment earlier.
func requireDeadline(rt *rapid.T, j job.Job) {
	early, _, err := j.Expired(j.Deadline().Add(-time.Microsecond))
	require.NoError(rt, err)
	require.Empty(rt, cmp.Diff(j, early), "it expired early")
	due, _, err := j.Expired(j.Deadline())
	require.NoError(rt, err)
	require.NotEmpty(rt, cmp.Diff(j, due), "it did not expire in time")
}
