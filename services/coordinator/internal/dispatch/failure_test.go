package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

const (
	queueTimeout   = coordinatorv1.ErrorReason_ERROR_REASON_QUEUE_TIMEOUT
	totalTimeout   = coordinatorv1.ErrorReason_ERROR_REASON_TOTAL_TIMEOUT
	executionLimit = coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT
	minerLost      = coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST
	overloaded     = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_OVERLOADED
	engineError    = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR
	incomplete     = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_INCOMPLETE
	modelGone      = coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND
	rejection      = coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED
	cancelled      = coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED
	internal       = coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL
)

func TestAFailedAttemptIsJudgedByItsClass(t *testing.T) {
	cases := map[string]struct {
		reason  coordinatorv1.ErrorReason
		retried bool
		ends    coordinatorv1.ErrorReason
	}{
		"overloaded":                    {overloaded, true, none},
		"engine error":                  {engineError, true, none},
		"incomplete":                    {incomplete, true, none},
		"model gone":                    {modelGone, true, none},
		"default execution limit":       {executionLimit, true, none},
		"given up by the miner itself":  {cancelled, true, none},
		"a reason that is not a miners": {internal, true, none},
		"the request's own fault":       {rejection, false, rejection},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				miner, other := w.connected(1, 1), w.miner(2, 1)
				j := w.queue()
				h := miner.lease()
				other.connect()
				miner.begin(h)
				miner.fail(h, c.reason)
				_, revoked := miner.got()
				require.Empty(t, revoked, "it said so itself")
				if !c.retried {
					w.requireJob(j.ID, job.Settling, job.StatusFailed, c.ends)
					require.Equal(t, []job.Message{job.RefundJob}, w.owes(j.ID))
					w.settle()
					done := w.requireJob(j.ID, job.Done, job.StatusFailed, c.ends)
					require.Equal(t, done.Order.MaxPrice, done.Settlement.Refunded)
					return
				}
				second := other.lease()
				require.Equal(t, uint32(2), second.Job.Attempt)
				require.NotEqual(t, h.Job.LeaseSignature, second.Job.LeaseSignature)
				other.finish(second)
				w.settle()
				w.requireJob(j.ID, job.Done, job.StatusCompleted, none)
			})
		})
	}
}

func TestATriedJobThatNoOtherMinerMayRun(t *testing.T) {
	t.Run("fails at once for an engine error", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			miner := w.connected(1, 1)
			j := w.queue()
			miner.fail(miner.lease(), engineError)
			w.requireJob(j.ID, job.Settling, job.StatusFailed, engineError)
		})
	})
	t.Run("fails when the last hope leaves", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			miner := w.connected(1, 1)
			j := w.queue()
			h := miner.lease()
			other := w.connected(2, 1)
			w.queue()
			other.lease() // it is full
			miner.fail(h, engineError)
			w.requireJob(j.ID, job.Queued, "", engineError)
			other.state.Draining = true
			other.say()
			w.requireJob(j.ID, job.Settling, job.StatusFailed, engineError)
		})
	})
	t.Run("waits for a miner that is away for a moment", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			miner, other := w.connected(1, 1), w.connected(2, 1)
			other.leave()
			j := w.queue()
			miner.fail(miner.lease(), engineError)
			w.requireJob(j.ID, job.Queued, "", engineError)
			pass(job.UnknownGrace - time.Microsecond)
			w.requireJob(j.ID, job.Queued, "", engineError)
			pass(time.Microsecond)
			w.requireJob(j.ID, job.Settling, job.StatusFailed, engineError)
		})
	})
	t.Run("waits out its queue timeout when the engine was overloaded", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			miner := w.connected(1, 1)
			j := w.queue()
			miner.fail(miner.lease(), overloaded)
			pass(w.config.QueueTimeout - time.Microsecond)
			w.requireJob(j.ID, job.Queued, "", overloaded)
			pass(time.Microsecond)
			w.requireJob(j.ID, job.Settling, job.StatusFailed, overloaded)
		})
	})
	t.Run("fails when its attempts are used up", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			j := w.queue()
			for n := range byte(4) {
				miner := w.connected(n+1, 1)
				leases, _ := miner.got()
				if n == 3 {
					require.Empty(t, leases)
					break
				}
				require.Len(t, leases, 1)
				w.connected(n+2, 0)
				miner.fail(leases[0], engineError)
			}
			require.Equal(t, uint32(3), w.requireJob(j.ID, job.Settling, job.StatusFailed, engineError).Attempt)
		})
	})
}

func TestTimeoutsComeExactlyWhenTheyAreDue(t *testing.T) {
	client := func(r *dispatch.SubmitRequest) { r.Execution = 10 * time.Second }
	cases := map[string]struct {
		edit    func(*dispatch.SubmitRequest)
		begin   bool
		noMiner bool
		after   time.Duration
		phase   job.Phase
		outcome job.Status
		reason  coordinatorv1.ErrorReason
	}{
		"no miner": {noMiner: true, after: 60 * time.Second, phase: job.Settling, outcome: job.StatusFailed, reason: queueTimeout},
		"no miner, the client's own limit": {
			noMiner: true, edit: func(r *dispatch.SubmitRequest) { r.Queue = 5 * time.Second },
			after: 5 * time.Second, phase: job.Settling, outcome: job.StatusFailed, reason: queueTimeout,
		},
		"total while queued": {
			noMiner: true, edit: func(r *dispatch.SubmitRequest) { r.Total = 4 * time.Second },
			after: 4 * time.Second, phase: job.Settling, outcome: job.StatusFailed, reason: totalTimeout,
		},
		"total while running": {
			begin: true, edit: func(r *dispatch.SubmitRequest) { r.Total = 4 * time.Second },
			after: 4 * time.Second, phase: job.Settling, outcome: job.StatusFailed, reason: totalTimeout,
		},
		"default execution limit": {begin: true, after: 300 * time.Second, phase: job.Queued, reason: executionLimit},
		"never begun": {
			edit:  func(r *dispatch.SubmitRequest) { r.Execution, r.Total = 10*time.Second, time.Hour },
			after: 70 * time.Second, phase: job.Queued, reason: minerLost,
		},
		"the client's execution limit": {begin: true, edit: client, after: 10 * time.Second, phase: job.Running, outcome: job.StatusCancelled, reason: executionLimit},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				if c.edit == nil {
					c.edit = func(*dispatch.SubmitRequest) {}
				}
				j := w.submit(c.edit)
				var miner *player
				if !c.noMiner {
					miner = w.connected(1, 1)
					full := w.connected(2, 1) // so that a retry has hope
					full.state.Slots = 0
					full.say()
				}
				w.settle()
				before := w.job(j.ID)
				if c.begin {
					miner.begin(miner.lease())
					before = w.job(j.ID)
				}
				pass(c.after - time.Microsecond)
				require.Equal(t, before, w.job(j.ID))
				pass(time.Microsecond)
				w.requireJob(j.ID, c.phase, c.outcome, c.reason)
				if miner != nil {
					_, revoked := miner.got()
					require.Equal(t, []revocation{{j.ID.LeaseID(1), c.reason, c.outcome == job.StatusCancelled}}, revoked)
				}
			})
		})
	}
}

func TestAMinerThatIsToldToStopIsPaidForWhatItDid(t *testing.T) {
	stopped := func(s *aitbc.Statement) { s.Stopped = true }
	setup := func(w *world) (*player, dispatch.Handover) {
		miner := w.connected(1, 1)
		w.queue(func(r *dispatch.SubmitRequest) { r.Execution = 10 * time.Second })
		h := miner.lease()
		miner.begin(h)
		return miner, h
	}
	t.Run("at the client's limit", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			miner, h := setup(w)
			pass(10 * time.Second)
			_, revoked := miner.got()
			require.True(t, revoked[0].settle)
			_, err := w.Complete(t.Context(), miner.id, miner.statement(h, "Machine", stopped))
			require.NoError(t, err)
			w.settle()
			done := w.requireJob(h.Job.ID, job.Done, job.StatusCancelled, executionLimit)
			require.Equal(t, aitbc.Amount(30_000), done.Settlement.Paid)
		})
	})
	t.Run("at the client's limit by its own clock", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			miner, h := setup(w)
			pass(10*time.Second - 50*time.Millisecond)
			_, err := w.Complete(t.Context(), miner.id, miner.statement(h, "Machine", stopped))
			require.NoError(t, err)
			w.requireJob(h.Job.ID, job.Settling, job.StatusCancelled, executionLimit)
		})
	})
	t.Run("not when it stops by itself", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			miner, h := setup(w)
			pass(5 * time.Second)
			_, err := w.Complete(t.Context(), miner.id, miner.statement(h, "Machine", stopped))
			require.ErrorIs(t, err, &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED})
		})
	})
	t.Run("not when it says nothing within the grace", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			_, h := setup(w)
			pass(10*time.Second + job.StopGrace - time.Microsecond)
			w.requireJob(h.Job.ID, job.Running, job.StatusCancelled, executionLimit)
			pass(time.Microsecond)
			w.requireJob(h.Job.ID, job.Settling, job.StatusCancelled, executionLimit)
			require.Equal(t, []job.Message{job.RefundJob}, w.owes(h.Job.ID))
		})
	})
}

func TestCancelInEachPhase(t *testing.T) {
	cases := map[string]struct {
		reach   func(*world) job.Job
		refused bool
		phase   job.Phase
		owes    []job.Message
	}{
		"escrowing": {reach: func(w *world) job.Job { return w.submit() }, phase: job.Escrowing, owes: []job.Message{job.SubmitJob}},
		"queued":    {reach: func(w *world) job.Job { return w.queue() }, phase: job.Settling, owes: []job.Message{job.RefundJob}},
		"leased": {reach: func(w *world) job.Job {
			w.connected(1, 1)
			return w.queue()
		}, phase: job.Leased},
		"running": {reach: func(w *world) job.Job {
			miner := w.connected(1, 1)
			w.queue()
			h := miner.lease()
			miner.begin(h)
			return h.Job
		}, phase: job.Running},
		"unknown": {reach: func(w *world) job.Job {
			miner := w.connected(1, 1)
			j := w.queue()
			miner.leave()
			return j
		}, phase: job.Unknown},
		"settling": {reach: func(w *world) job.Job {
			miner := w.connected(1, 1)
			w.queue()
			return miner.finish(miner.lease())
		}, refused: true},
		"done": {reach: func(w *world) job.Job {
			miner := w.connected(1, 1)
			w.queue()
			j := miner.finish(miner.lease())
			w.settle()
			return j
		}, refused: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				j := c.reach(w)
				_, err := w.Cancel(t.Context(), aitbc.AccountID{1}, j.ID)
				require.ErrorIs(t, err, job.ErrNotFound, "it is another's")
				_, err = w.Cancel(t.Context(), clientID, j.ID)
				if c.refused {
					require.ErrorIs(t, err, job.ErrWrongState)
					return
				}
				require.NoError(t, err)
				w.requireJob(j.ID, c.phase, job.StatusCancelled, cancelled)
				require.Equal(t, c.owes, w.owes(j.ID))
				_, err = w.Cancel(t.Context(), clientID, j.ID)
				require.NoError(t, err, "cancelling again changes nothing")
				pass(job.StopGrace)
				w.settle() // the escrow, then the refund
				w.settle()
				done := w.requireJob(j.ID, job.Done, job.StatusCancelled, cancelled)
				require.Equal(t, done.Order.MaxPrice, done.Settlement.Refunded)
			})
		})
	}
}

func TestACancelledMinerSendsItsOneStatement(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		j := w.queue()
		h := miner.lease()
		miner.begin(h)
		pass(3 * time.Second)
		_, err := w.Cancel(t.Context(), clientID, j.ID)
		require.NoError(t, err)
		_, revoked := miner.got()
		require.Equal(t, []revocation{{j.ID.LeaseID(1), cancelled, true}}, revoked)
		_, err = w.Complete(t.Context(), miner.id, miner.statement(h, "Mach", func(s *aitbc.Statement) { s.Stopped = true }))
		require.NoError(t, err)
		w.settle()
		done := w.requireJob(j.ID, job.Done, job.StatusCancelled, cancelled)
		require.Equal(t, aitbc.Amount(30_000), done.Settlement.Paid)
	})
}

func TestACancelledMinerWithNothingToShowEndsTheJob(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		j := w.queue()
		h := miner.lease()
		_, err := w.Cancel(t.Context(), clientID, j.ID)
		require.NoError(t, err)
		miner.fail(h, cancelled)
		w.requireJob(j.ID, job.Settling, job.StatusCancelled, cancelled)
		require.Zero(t, w.Miners()[0].Standing.Jobs, "it is not to blame")
	})
}

func TestARefusedEscrowEndsTheJob(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		j := w.submit()
		why := job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, Message: "no"}
		require.NoError(t, w.Settle(t.Context(), []job.Outcome{{JobID: j.ID, Kind: job.SubmitJob, Refused: why}}))
		w.requireJob(j.ID, job.Done, job.StatusFailed, why.Reason)
		require.Empty(t, w.owes(j.ID))
		require.NoError(t, w.Settle(t.Context(), []job.Outcome{{JobID: j.ID, Kind: job.SubmitJob, Refused: why}}), "again")
		require.NoError(t, w.Settle(t.Context(), []job.Outcome{{JobID: aitbc.JobID{1}, Kind: job.SubmitJob}}), "unknown")
	})
}
