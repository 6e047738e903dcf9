package dispatch_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

const none = coordinatorv1.ErrorReason_ERROR_REASON_UNSPECIFIED

func TestTheLifeOfAJob(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		j := w.submit()
		require.Equal(t, job.StatusPending, j.Status())
		require.Equal(t, 6*aitbc.Amount(aitbc.UnitsPerCoin), j.Order.MaxPrice, "300 s at 0.02")
		requireWaiting(t, w, j.Order.MaxPrice)
		leases, _ := miner.got()
		require.Empty(t, leases, "nothing runs before its escrow is committed")

		w.settle()
		h := miner.lease()
		require.Equal(t, "What is machine learning?", h.Payload.Prompt)
		require.Equal(t, w.requireJob(j.ID, job.Leased, "", none), h.Job, "durable before it was sent")
		operator := operatorKey.Public().(ed25519.PublicKey)
		require.True(t, aitbc.Verify(operator, h.Job.Lease().SigningBytes(), h.Job.LeaseSignature))
		require.Equal(t, digest, h.Job.ModelDigest)
		requireWaiting(t, w, 0)

		done := miner.finish(h)
		require.Equal(t, done, w.requireJob(j.ID, job.Settling, job.StatusCompleted, none))
		require.Equal(t, job.StatusRunning, done.Status(), "completed is the ledger's word")
		c := done.Completion
		require.True(t, aitbc.Verify(operator, c.Acceptance().SigningBytes(), c.AcceptanceSignature))
		require.Equal(t, int64(1_500_000), c.MeteredUS)
		require.Equal(t, int64(2_000_000), c.OperatorUS)
		result, err := w.store.Result(t.Context(), j.ID)
		require.NoError(t, err)
		require.Equal(t, answer, result)

		w.settle()
		done = w.requireJob(j.ID, job.Done, job.StatusCompleted, none)
		require.Equal(t, aitbc.Amount(30_000), done.Settlement.Paid)
		require.Empty(t, w.owes(j.ID))
		require.Empty(t, w.Stats().Live)
		_, revoked := miner.got()
		require.Empty(t, revoked)
	})
}

func TestASecondCompletionGetsTheSameAnswer(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		w.queue()
		h := miner.lease()
		first := miner.finish(h)
		for range 2 { // while it settles, and when it is done
			again, err := w.Complete(t.Context(), miner.id, miner.statement(h, answer))
			require.NoError(t, err)
			require.Equal(t, first.Completion, again.Completion)
			_, err = w.Complete(t.Context(), miner.id, miner.statement(h, "another answer"))
			require.ErrorIs(t, err, job.ErrWrongState)
			w.settle()
		}
		other := w.connected(2, 1)
		_, err := w.Complete(t.Context(), other.id, other.statement(h, answer))
		require.ErrorIs(t, err, job.ErrLeaseNotHeld)
	})
}

func TestTheMeterIsTheSmallestOfItsBounds(t *testing.T) {
	cases := map[string]struct {
		computeUS int64
		ran       time.Duration
		limit     time.Duration
		metered   int64
	}{
		"the miner's compute time":  {1_000_000, 2 * time.Second, 0, 1_000_000},
		"our own clock":             {9_000_000, 2 * time.Second, 0, 2_000_000},
		"the order's limit":         {9_000_000, 8 * time.Second, 8 * time.Second, 8_000_000},
		"no compute time, no costs": {0, 2 * time.Second, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				miner := w.connected(1, 1)
				w.queue(func(r *dispatch.SubmitRequest) { r.Execution = c.limit })
				h := miner.lease()
				pass(c.ran)
				j, err := w.Complete(t.Context(), miner.id, miner.statement(h, answer, func(s *aitbc.Statement) { s.ComputeUS = c.computeUS }))
				require.NoError(t, err)
				require.Equal(t, c.metered, j.Completion.MeteredUS)
			})
		})
	}
}

func TestAResultThatDoesNotCheckIsRejected(t *testing.T) {
	cases := map[string]func(*dispatch.Result, *player, dispatch.Handover){
		"another result": func(r *dispatch.Result, _ *player, _ dispatch.Handover) { r.Result += "!" },
		"another key": func(r *dispatch.Result, _ *player, _ dispatch.Handover) {
			r.Signature = aitbc.Sign(keyOf(9), r.Statement)
		},
		"no statement": func(r *dispatch.Result, _ *player, _ dispatch.Handover) { r.Statement = []byte("x") },
		"another lease": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, answer, func(s *aitbc.Statement) { s.LeaseHash[0]++ })
		},
		"another attempt": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, answer, func(s *aitbc.Statement) { s.Attempt++ })
		},
		"another chain": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, answer, func(s *aitbc.Statement) { s.ChainID = "other" })
		},
		"another model": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, answer, func(s *aitbc.Statement) { s.Model = "other:latest" })
		},
		"another digest": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, answer, func(s *aitbc.Statement) { s.ModelDigest[0]++ })
		},
		"negative time": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, answer, func(s *aitbc.Statement) { s.ComputeUS = -1 })
		},
		"stopped although nobody asked": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, answer, func(s *aitbc.Statement) { s.Stopped = true })
		},
		"too long": func(r *dispatch.Result, p *player, h dispatch.Handover) {
			*r = p.statement(h, string(make([]byte, 1<<20+1)))
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				miner, other := w.connected(1, 1), w.miner(2, 1)
				j := w.queue()
				h := miner.lease()
				other.connect()
				r := miner.statement(h, answer)
				spoil(&r, miner, h)
				_, err := w.Complete(t.Context(), miner.id, r)
				require.ErrorIs(t, err, &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED})
				_, revoked := miner.got()
				require.Equal(t, []revocation{{j.ID.LeaseID(1), coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED, false}}, revoked)
				second := other.lease()
				require.Equal(t, uint32(2), second.Job.Attempt)
				require.Equal(t, []aitbc.AccountID{miner.id}, second.Job.Excluded)
				_, err = w.Complete(t.Context(), miner.id, miner.statement(h, answer))
				require.ErrorIs(t, err, job.ErrLeaseNotHeld, "a result of an old attempt is never paid")
			})
		})
	}
}

func TestCompletionByItsParts(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		j := w.queue()
		h := miner.lease()
		held, err := w.Leases(t.Context(), miner.id)
		require.NoError(t, err)
		require.Equal(t, []dispatch.Handover{h}, held)
		_, err = w.Start(t.Context(), miner.id, j.ID, time.Time{})
		require.NoError(t, err)
		w.requireJob(j.ID, job.Running, "", none)
		pass(2 * time.Second)

		signed := miner.statement(h, answer, func(s *aitbc.Statement) { s.PromptTokens = 0 })
		parts := dispatch.Completion{
			JobID: j.ID, Result: answer, Hash: aitbc.ResultHash([]byte(answer)), Signature: signed.Signature,
			ComputeUS: 1_500_000, OutputTokens: 9,
		}
		stranger := w.connected(2, 1)
		_, err = w.CompleteParts(t.Context(), stranger.id, parts)
		require.ErrorIs(t, err, job.ErrLeaseNotHeld)
		wrong := parts
		wrong.ComputeUS++
		_, err = w.CompleteParts(t.Context(), miner.id, wrong)
		require.ErrorIs(t, err, &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED})
		w.requireJob(j.ID, job.Running, "", none)

		done, err := w.CompleteParts(t.Context(), miner.id, parts)
		require.NoError(t, err)
		again, err := w.CompleteParts(t.Context(), miner.id, parts)
		require.NoError(t, err)
		require.Equal(t, done, again)
		_, revoked := miner.got()
		require.Len(t, revoked, 1, "the stream's executor may stop")
	})
}

func TestAClaimIsALease(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		busy := w.connected(1, 1)
		first, j := w.queue(), w.queue()
		busy.lease()
		claim := dispatch.Claim{JobID: j.ID, Type: "inference", Prompt: request().Prompt, Model: "tiny"}
		_, err := w.Claim(t.Context(), busy.id, claim)
		require.ErrorIs(t, err, job.ErrWrongState)
		require.ErrorContains(t, err, "full")

		miner := w.miner(2, 1)
		miner.state.Draining = true
		miner.connect()
		_, err = w.Claim(t.Context(), miner.id, claim)
		require.ErrorContains(t, err, "draining")
		other := claim
		other.Prompt = "something else"
		_, err = w.Claim(t.Context(), miner.id, other)
		require.ErrorIs(t, err, &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_ASSIGNMENT_MISMATCH})

		busy.finish(dispatch.Handover{Job: w.job(first.ID)})
		require.Equal(t, j.ID, busy.lease().Job.ID)
		held, err := w.Claim(t.Context(), busy.id, claim)
		require.NoError(t, err, "it holds the job")
		require.Equal(t, uint32(1), held.Attempt)
		leases, _ := busy.got()
		require.Empty(t, leases)
		other.JobID = aitbc.JobID{1}
		_, err = w.Claim(t.Context(), busy.id, other)
		require.ErrorIs(t, err, job.ErrNotFound)
	})
}

func TestAClaimTakesAWaitingJob(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.stop()
		w.paused = true
		w.start()
		miner := w.connected(1, 1)
		j := w.submit()
		claim := dispatch.Claim{JobID: j.ID, Type: "inference", Prompt: request().Prompt, Model: "tiny"}
		_, err := w.Claim(t.Context(), miner.id, claim)
		require.ErrorIs(t, err, job.ErrWrongState, "its escrow is not committed")
		w.settle()
		claimed, err := w.Claim(t.Context(), miner.id, claim)
		require.NoError(t, err)
		require.Equal(t, claimed, miner.lease().Job)
		require.Equal(t, claimed, w.requireJob(j.ID, job.Leased, "", none))
	})
}
