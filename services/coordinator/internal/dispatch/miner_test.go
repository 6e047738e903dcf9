package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

const notHeld = coordinatorv1.ErrorReason_ERROR_REASON_LEASE_NOT_HELD

func TestAMinerThatComesBackKeepsItsLease(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner, other := w.connected(1, 1), w.miner(2, 1)
		j := w.queue()
		h := miner.lease()
		miner.begin(h)
		miner.leave()
		w.requireJob(j.ID, job.Unknown, "", none)
		require.Equal(t, "unknown", w.Miners()[0].Status)
		other.connect()
		pass(job.UnknownGrace - time.Microsecond)
		miner.state.Running = []string{h.Job.Lease().ID()}
		miner.connect()
		w.requireJob(j.ID, job.Running, "", none)
		leases, revoked := miner.got()
		require.Empty(t, leases, "it has the lease")
		require.Empty(t, revoked)
		pass(time.Minute)
		leases, _ = other.got()
		require.Empty(t, leases)
		miner.finish(h)
	})
}

func TestAMinerThatComesBackWithoutItsLeaseGetsItAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		j := w.queue()
		h := miner.lease()
		miner.leave()
		miner.connect()
		again := miner.lease()
		require.Equal(t, h.Job.Lease(), again.Job.Lease())
		require.Equal(t, h.Payload, again.Payload)
		w.requireJob(j.ID, job.Leased, "", none)
		miner.say() // the lease may still be on its way
		leases, _ := miner.got()
		require.Empty(t, leases)
	})
}

func TestAMinerThatStaysAwayLosesItsLeaseExactlyAfterTheGrace(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner, other := w.connected(1, 1), w.miner(2, 1)
		j := w.queue()
		h := miner.lease()
		other.connect()
		miner.leave()
		pass(job.UnknownGrace - time.Microsecond)
		w.requireJob(j.ID, job.Unknown, "", none)
		pass(time.Microsecond)
		second := other.lease()
		require.Equal(t, uint32(2), second.Job.Attempt)
		require.Equal(t, []aitbc.AccountID{miner.id}, second.Job.Excluded)
		require.Len(t, w.Miners(), 1, "it is forgotten")

		miner.state.Finished = []string{h.Job.Lease().ID()}
		miner.connect()
		_, revoked := miner.got()
		require.Equal(t, []revocation{{h.Job.Lease().ID(), notHeld, false}}, revoked)
		_, err := w.Complete(t.Context(), miner.id, miner.statement(h, answer))
		require.ErrorIs(t, err, job.ErrLeaseNotHeld)
		other.finish(second)
	})
}

func TestWhatAMinerListsAndDoesNotHoldIsRevoked(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 2)
		w.queue()
		accepted := miner.lease()
		miner.finish(accepted)
		stranger := aitbc.JobID{1}.LeaseID(1)
		miner.state.Running = []string{stranger, "nonsense"}
		miner.state.Finished = []string{accepted.Job.Lease().ID()}
		miner.say()
		_, revoked := miner.got()
		require.Equal(t, []revocation{{stranger, notHeld, false}, {"nonsense", notHeld, false}}, revoked)

		w.queue()
		leases, _ := miner.got()
		require.Empty(t, leases, "both slots are taken by what it runs")
		miner.state.Running = nil
		miner.say()
		miner.lease()
	})
}

func TestTheSlotOfARevokedLeaseIsFreeWhenItsMinerSaysSo(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		w.queue(func(r *dispatch.SubmitRequest) { r.Total = 10 * time.Second })
		h := miner.lease()
		miner.begin(h)
		next := w.queue()
		pass(10 * time.Second)
		leases, revoked := miner.got()
		require.Len(t, revoked, 1)
		require.Empty(t, leases)
		miner.state.Running = []string{h.Job.Lease().ID()} // its engine is about to stop
		miner.say()
		leases, _ = miner.got()
		require.Empty(t, leases)
		miner.state.Running = nil
		miner.say()
		require.Equal(t, next.ID, miner.lease().Job.ID)
	})
}

func TestANewerSessionReplacesTheOlder(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		older := w.connected(1, 1)
		j := w.queue()
		h := older.lease()
		newer := w.miner(1, 1)
		newer.state.Running = []string{h.Job.Lease().ID()}
		newer.connect()
		require.True(t, older.ended)
		require.ErrorIs(t, w.MinerState(t.Context(), older.id, older.session, older.state), dispatch.ErrReplaced)
		older.leave()
		pass(time.Minute)
		require.Equal(t, job.Leased, w.job(j.ID).Phase, "the end of the older one means nothing")
		require.Equal(t, "connected", w.Miners()[0].Status)
		newer.finish(h)
	})
}

func TestNothingIsSentBeforeTheFirstState(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		j := w.queue()
		miner.lease()
		miner.leave()
		miner.session = w.MinerConnected(dispatch.Registration{ID: miner.id, Link: miner})
		leases, _ := miner.got()
		require.Empty(t, leases)
		miner.leave() // without ever having said a word
		pass(job.UnknownGrace)
		w.requireJob(j.ID, job.Queued, "", minerLost)
	})
}

func TestARestartLosesNothing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 3)
		running, leased, finished := w.queue(), w.queue(), w.queue()
		waiting, submitted := w.queue(), w.submit()
		handed := map[aitbc.JobID]dispatch.Handover{}
		leases, _ := miner.got()
		for _, h := range leases {
			handed[h.Job.ID] = h
		}
		require.Len(t, handed, 3)
		miner.begin(handed[running.ID])
		pass(5 * time.Second)
		before := w.Stats()

		w.restart()
		require.Equal(t, before.Live, w.Stats().Live)
		pass(5 * time.Second)
		leasesHeld, err := w.Leases(t.Context(), miner.id)
		require.NoError(t, err)
		require.Len(t, leasesHeld, 3)
		// It has lost one lease, still runs one, and has the result of one.
		miner.state.Running = []string{running.ID.LeaseID(1)}
		miner.state.Finished = []string{finished.ID.LeaseID(1)}
		miner.connect()
		again := miner.lease()
		require.Equal(t, handed[leased.ID], again, "the same attempt, not another")
		_, err = w.Complete(t.Context(), miner.id, miner.statement(handed[finished.ID], answer))
		require.NoError(t, err)
		next := miner.lease()
		require.Equal(t, waiting.ID, next.Job.ID, "the slot is free, and no more than that")
		for _, h := range []dispatch.Handover{handed[running.ID], again, next} {
			require.Equal(t, uint32(1), h.Job.Attempt)
			miner.finish(h)
		}
		w.settle()
		last := miner.lease()
		require.Equal(t, submitted.ID, last.Job.ID)
		miner.finish(last)
		w.settle()
		for _, j := range []job.Job{submitted, running, leased, finished, waiting} {
			w.requireJob(j.ID, job.Done, job.StatusCompleted, none)
		}
		require.Empty(t, w.Stats().Live)
	})
}

func TestAfterARestartAMinerThatStaysAwayLosesItsLease(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		j := w.queue()
		miner.begin(miner.lease())
		w.restart()
		other := w.connected(2, 1)
		pass(job.UnknownGrace - time.Microsecond)
		leases, _ := other.got()
		require.Empty(t, leases)
		pass(time.Microsecond)
		require.Equal(t, uint32(2), other.lease().Job.Attempt)
		w.requireJob(j.ID, job.Leased, "", none)
	})
}

// A restart does not turn "waits for the second miner" into "nobody else can": that one may be on
// its way back.
func TestAJobThatWaitsForAnotherMinerSurvivesARestart(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.connected(1, 1)
		j := w.queue()
		h := first.lease()
		second := w.connected(2, 1)
		second.state.Slots = 0 // busy
		second.say()
		first.begin(h)
		first.fail(h, engineError)
		require.Equal(t, job.Queued, w.job(j.ID).Phase)
		w.restart()
		pass(job.UnknownGrace - time.Second)
		require.Equal(t, job.Queued, w.job(j.ID).Phase, w.job(j.ID).Failure.Message)
		pass(time.Second)
		w.requireJob(j.ID, job.Settling, job.StatusFailed, engineError)
	})
}

func TestAMinerBelowTheLeastStakeGetsNothing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 2)
		w.queue()
		held := miner.lease()
		w.MinerStake(miner.id, miner.session-1, 4, false) // said of a session before
		w.MinerStake(miner.id, miner.session, 4, false)
		w.queue()
		leases, revoked := miner.got()
		require.Empty(t, leases)
		require.Empty(t, revoked, "what it holds goes on")
		x, err := w.ExplainMiner(miner.id)
		require.NoError(t, err)
		require.Equal(t, []scheduler.Obstacle{scheduler.LowStake}, x.Obstacles)
		require.Equal(t, aitbc.Amount(4), x.Miner.Stake)
		miner.finish(held)
		leases, _ = miner.got()
		require.Empty(t, leases)
		w.MinerStake(miner.id, miner.session, 5, true)
		miner.lease()
	})
}

func TestAMinerThatSaidGoodbyeIsForgottenAtOnce(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		lost, busy, idle := w.connected(1, 1), w.connected(2, 1), w.connected(3, 1)
		for range 3 {
			w.queue()
		}
		h := idle.lease()
		idle.finish(h)
		for _, miner := range []*player{busy, idle} {
			miner.state.Draining = true
			miner.say()
		}
		for _, miner := range []*player{lost, busy, idle} {
			miner.leave()
		}
		views := w.Miners()
		require.Len(t, views, 2, "those that may come back are waited for")
		require.NotContains(t, []aitbc.AccountID{views[0].ID, views[1].ID}, idle.id)
	})
}

func TestTimeoutsGoOnThroughARestart(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		j := w.queue()
		pass(40 * time.Second)
		w.restart()
		pass(20*time.Second - time.Microsecond)
		w.requireJob(j.ID, job.Queued, "", none)
		pass(time.Microsecond)
		w.requireJob(j.ID, job.Settling, job.StatusFailed, queueTimeout)
	})
}

func TestPromptsThatDoNotFitInMemoryAreReadFromTheStore(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.PayloadCache = 30 }, func(t *testing.T, w *world) {
		miner := w.miner(1, 8)
		for range 5 {
			w.queue()
		}
		miner.connect()
		leases, _ := miner.got()
		require.Len(t, leases, 5)
		for _, h := range leases {
			require.Equal(t, request().Prompt, h.Payload.Prompt)
		}
		miner.leave()
		miner.connect()
		leases, _ = miner.got()
		require.Len(t, leases, 5)
	})
}

func TestModelsAreThoseOfKnownMiners(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		require.Empty(t, w.Models())
		a, b := w.miner(1, 1), w.miner(2, 1)
		a.state.Models = append(a.state.Models, &coordinatorv1.MinerModel{Name: "bad", Digest: "x"})
		b.state.Models = []*coordinatorv1.MinerModel{{Name: "tiny", Digest: aitbc.Hash{9}.String()}}
		a.connect()
		first := time.Now()
		pass(time.Second)
		b.connect()
		models := w.Models()
		require.Len(t, models, 1)
		require.Equal(t, []aitbc.Hash{digest, {9}}, models[0].Digests)
		require.Equal(t, 2, models[0].Miners)
		require.Equal(t, tiny, models[0].Name)
		require.True(t, first.Equal(models[0].FirstSeen))
	})
}
