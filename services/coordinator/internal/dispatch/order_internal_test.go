package dispatch

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// nothing is a store, committer, ledger and outbox that has nothing and is not asked for anything.
type nothing struct {
	store.Reader
	Committer
	Ledger
}

func (nothing) Lines(context.Context, int32) ([]store.Line, error)       { return nil, nil }
func (nothing) Held(context.Context, store.HeldQuery) ([]job.Job, error) { return nil, nil }
func (nothing) Outbox(context.Context, int64, int) ([]store.Owed, error) { return nil, nil }
func (nothing) Decide(aitbc.JobID, job.Message) (job.Outcome, bool)      { return job.Outcome{}, false }
func (nothing) Notify()                                                  {}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func inMemory(t require.TestingT) (*Dispatcher, *entry) {
	d, err := New(context.Background(), DefaultConfig("chain"), Deps{
		Store: nothing{}, Committer: nothing{}, Ledger: nothing{}, Outbox: nothing{},
		Shards: []int32{1}, Operator: ed25519.NewKeyFromSeed(make([]byte, 32)), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return d, d.enter(aitbc.JobID{1}, aitbc.Order{JobID: aitbc.JobID{1}, MaxPrice: 5})
}

// walk gives random steps of a job as the committer numbers them, from its insertion on.
func walk(t *rapid.T) []*change {
	j := job.Job{
		ID: aitbc.JobID{1}, Order: aitbc.Order{JobID: aitbc.JobID{1}, MaxPrice: 5, ExecutionLimitUS: 1e6}, Model: "tiny:latest", Shard: 1,
		Phase: job.Escrowing, SubmittedAt: epoch, QueueTimeout: time.Hour, TotalTimeout: time.Hour, MaxAttempts: 3,
	}
	changes := []*change{{id: j.ID, job: j, number: 1}}
	steps := []func(job.Job) (job.Job, job.Message, error){
		func(j job.Job) (job.Job, job.Message, error) { return j.Escrowed(epoch, aitbc.Hash{}) },
		func(j job.Job) (job.Job, job.Message, error) {
			return j.LeasedTo(epoch, aitbc.AccountID{byte(j.Attempt + 1)}, aitbc.Hash{})
		},
		func(j job.Job) (job.Job, job.Message, error) { return j.Started(epoch, j.Miner, j.Attempt) },
		job.Job.Lost,
		job.Job.Found,
		func(j job.Job) (job.Job, job.Message, error) {
			return j.AttemptFailed(epoch, j.Miner, j.Attempt, job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR})
		},
		func(j job.Job) (job.Job, job.Message, error) { return j.Cancelled(epoch) },
		func(j job.Job) (job.Job, job.Message, error) { return j.Settled(epoch, job.Settlement{}) },
	}
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		next, _, err := rapid.SampledFrom(steps).Draw(t, "step")(j)
		if err == nil {
			j = next
			changes = append(changes, &change{id: j.ID, job: j, number: uint64(len(changes) + 1)})
		}
	}
	return changes
}

// What one miner says does not make the coordinator's memory grow for ever.
func TestModelNamesThatComeAndGoAreForgotten(t *testing.T) {
	t.Parallel()
	d, _ := inMemory(t)
	id := aitbc.AccountID{1}
	session := d.MinerConnected(Registration{ID: id, Link: deafLink{}})
	for n := range 100 {
		state := MinerState{Slots: 1, Models: []*coordinatorv1.MinerModel{{Name: fmt.Sprint("m", n), Digest: aitbc.Hash{1}.String()}}}
		require.NoError(t, d.MinerState(t.Context(), id, session, state))
	}
	require.Len(t, d.models, 1)
	require.NoError(t, d.MinerState(t.Context(), id, session, MinerState{Draining: true}))
	require.NoError(t, d.MinerGone(t.Context(), id, session))
	require.Empty(t, d.models)
	require.Empty(t, d.miners)
}

// deafLink is a miner that is sent nothing.
type deafLink struct{ Link }

func (deafLink) Lease(Handover)                                 {}
func (deafLink) Revoke(string, coordinatorv1.ErrorReason, bool) {}

// TestMemoryFollowsTheCommitsInWhateverOrderTheyReturn: goroutines come back from their commits in
// any order; what is in memory is in the end what the last commit says.
func TestMemoryFollowsTheCommitsInWhateverOrderTheyReturn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, e := inMemory(t)
		changes := walk(t)
		last := changes[len(changes)-1].job
		for _, c := range rapid.Permutation(changes).Draw(t, "order") {
			d.apply(epoch, c)
		}
		if last.Phase == job.Done {
			require.Empty(t, d.live)
			require.Empty(t, d.waiting)
			require.Zero(t, d.scheduler.Waiting())
			require.Empty(t, d.timers)
			return
		}
		require.Equal(t, last, e.job)
		require.Equal(t, last.Phase == job.Queued, d.scheduler.Waiting() == 1)
		holder := d.scheduler.Standing(last.Miner).Held
		require.Equal(t, last.HasLease(), holder == 1, "%s", last.Phase)
		require.Equal(t, last.HasLease(), !e.graceUntil.IsZero(), "its miner is not here")
		require.Equal(t, last.Phase == job.Escrowing, d.waiting[aitbc.AccountID{}] == 5)
	})
}

func TestALeaseWhoseMinerLeftMeanwhileWaitsForItAsLongAsAnyOther(t *testing.T) {
	t.Parallel()
	d, e := inMemory(t)
	j := job.Job{ID: aitbc.JobID{1}, Shard: 1, Phase: job.Leased, Attempt: 1, MaxAttempts: 3, Miner: aitbc.AccountID{1}, LeasedAt: epoch, TotalTimeout: time.Hour, SubmittedAt: epoch}
	j.Order.ExecutionLimitUS = time.Hour.Microseconds()
	d.apply(epoch, &change{id: j.ID, job: j, number: 1})
	require.Equal(t, epoch.Add(job.UnknownGrace), e.graceUntil)
	require.Equal(t, e.graceUntil, d.timers.next())
}

func TestADecisionThatWasNotCarriedOutIsMadeAgain(t *testing.T) {
	t.Parallel()
	d, _ := inMemory(t)
	j := job.Job{ID: aitbc.JobID{1}, Shard: 1, Phase: job.Queued, Model: "tiny:latest", QueuedAt: epoch, SubmittedAt: epoch, QueueTimeout: time.Hour, TotalTimeout: time.Hour, MaxAttempts: 3}
	d.apply(epoch, &change{id: j.ID, job: j, number: 1})
	d.scheduler.SetMiner(scheduler.Miner{ID: aitbc.AccountID{1}, Slots: 1, Models: []scheduler.Model{{Name: "tiny:latest"}}})
	first := d.scheduler.Next(epoch, 1)
	require.Len(t, first, 1)
	require.Empty(t, d.scheduler.Next(epoch, 1))
	d.putBack(first[0]) // the store failed
	again := d.scheduler.Next(epoch, 1)
	require.Len(t, again, 1)
	require.Equal(t, first[0].Job, again[0].Job)
	require.Equal(t, first[0].Miner, again[0].Miner) // how it was chosen is partly chance
}

// toldLink notes what it is told to stop.
type toldLink struct {
	deafLink
	revoked *[]string
}

func (l toldLink) Revoke(lease string, _ coordinatorv1.ErrorReason, _ bool) {
	*l.revoked = append(*l.revoked, lease)
}

// TestAMinerThatReportedAResultIsNotToldToStop: memory may hear of the settlement before it hears of the
// result. One whose lease ended otherwise is told.
func TestAMinerThatReportedAResultIsNotToldToStop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reported bool
		by       aitbc.AccountID
		refused  error
		revoked  int
	}{
		"reported":                   {reported: true, by: aitbc.AccountID{1}},
		"reported by another miner":  {reported: true, by: aitbc.AccountID{2}, revoked: 1},
		"not reported":               {revoked: 1},
		"reported, which is refused": {reported: true, by: aitbc.AccountID{1}, refused: job.ErrLeaseNotHeld, revoked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, e := inMemory(t)
			var revoked []string
			id := aitbc.AccountID{1}
			d.MinerConnected(Registration{ID: id, Link: toldLink{revoked: &revoked}})
			d.miners[id].spoken = true
			leased := job.Job{ID: aitbc.JobID{1}, Shard: 1, Phase: job.Running, Attempt: 1, MaxAttempts: 3, Miner: id, LeasedAt: epoch, StartedAt: epoch, TotalTimeout: time.Hour, SubmittedAt: epoch}
			leased.Order.ExecutionLimitUS = time.Hour.Microseconds()
			d.apply(epoch, &change{id: leased.ID, job: leased, number: 1})
			require.Same(t, e, d.live[leased.ID])
			accepted := leased
			accepted.Phase, accepted.Outcome, accepted.Completion = job.Settling, job.StatusCompleted, &job.Completion{}
			settled := accepted
			settled.Phase = job.Done
			result := &change{id: leased.ID, reported: test.reported, ends: holding{test.by, 1}, found: true, moved: true, before: leased, job: accepted, number: 2, refused: test.refused}
			if test.refused != nil {
				result.job, result.moved = leased, false
			}
			settlement := &change{id: leased.ID, found: true, moved: true, before: accepted, job: settled, number: 3}
			d.pinAll([]*change{result, settlement})
			if test.refused != nil {
				d.committed(t.Context(), []*change{result})
				d.committed(t.Context(), []*change{settlement})
			} else {
				d.committed(t.Context(), []*change{settlement})
				d.committed(t.Context(), []*change{result})
			}
			require.Len(t, revoked, test.revoked)
			require.Empty(t, d.live)
		})
	}
}
