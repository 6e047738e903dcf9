package job_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Whatever happens to a job, its fields and what was kept tell all of it, and nothing else.
func TestHistoryTellsEveryStep(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		j := newJob()
		j.MaxAttempts = rapid.Uint32Range(1, 3).Draw(rt, "attempts")
		j.ClientLimit = rapid.Bool().Draw(rt, "client limit")
		now := submitted
		want := []job.Step{{At: submitted, Phase: job.Escrowing}}
		var kept []job.Step
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(int64(time.Microsecond), int64(30*time.Second)).Draw(rt, "wait")))
			_, take := drawStep(rt, j, now)
			next, _, err := take(j)
			if err != nil {
				continue
			}
			kept = append(kept, job.Remember(now.Add(rapid.SampledFrom([]time.Duration{0, time.Nanosecond}).Draw(rt, "late")), j, next)...)
			if next.Phase != j.Phase || next.Outcome != j.Outcome {
				want = append(want, happened(now, j, next)...)
			}
			j = next
		}
		// A start that was never reported is told with the hand-over, once the result has come.
		slices.SortStableFunc(want, func(a, b job.Step) int { return a.At.Compare(b.At) })
		require.Empty(rt, cmp.Diff(want, j.History(kept), cmpopts.EquateApproxTime(time.Nanosecond)))
	})
}

// happened describes a step as somebody would who writes every one of them down.
func happened(now time.Time, before, after job.Job) []job.Step {
	s := job.Step{At: now, Phase: after.Phase, Outcome: after.Outcome, Attempt: after.Attempt, Miner: after.Miner, Failure: after.Failure}
	if before.Completion == nil && after.Completion != nil {
		s.Failure = job.Failure{} // it has a result: what stopped it is told by the step that did
		if before.StartedAt.IsZero() {
			return []job.Step{{At: after.LeasedAt, Phase: job.Running, Attempt: after.Attempt, Miner: after.Miner}, s}
		}
	}
	return []job.Step{s}
}

func TestAnOrdinaryJobKeepsNothing(t *testing.T) {
	t.Parallel()
	j := newJob()
	for _, take := range []step{escrowed, leased, started, accepted, receipt} {
		next := after(j, take)
		require.Empty(t, job.Remember(at(9), j, next))
		j = next
	}
	require.Len(t, j.History(nil), 6)
}
