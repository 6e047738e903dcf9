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
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

const (
	cancelledReason = coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED
	proofRejected   = coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED
)

// progress makes a running statement about text and what ends it; edits change the statement before
// it is signed.
func (p *player) progress(h dispatch.Handover, text, ending string, tokens uint32, compute time.Duration, edits ...func(*aitbc.Statement)) dispatch.Progress {
	r := p.statement(h, text+ending, append([]func(*aitbc.Statement){func(s *aitbc.Statement) {
		s.Running, s.PromptTokens, s.OutputTokens, s.ComputeUS = true, 0, tokens, compute.Microseconds()
	}}, edits...)...)
	return dispatch.Progress{
		JobID: h.Job.ID, Attempt: h.Job.Attempt, TextBytes: int64(len(text)), Ending: ending, Statement: r.Statement, Signature: r.Signature,
	}
}

// streaming has a miner at work that has said and signed the beginning of the answer.
func (w *world) streaming(edits ...func(*dispatch.SubmitRequest)) (*player, dispatch.Handover) {
	w.t.Helper()
	p := w.connected(1, 1)
	w.queue(edits...)
	h := p.lease()
	p.begin(h)
	pass(2 * time.Second)
	p.chunk(h.Job.Lease().ID(), 0, answer[:20])
	require.NoError(w.t, w.Progress(w.t.Context(), p.id, p.progress(h, answer[:10], "", 2, 500*time.Millisecond)))
	require.NoError(w.t, w.Progress(w.t.Context(), p.id, p.progress(h, answer[:20], "", 4, 1500*time.Millisecond)))
	return p, h
}

func (w *world) cancel(id aitbc.JobID) {
	w.t.Helper()
	_, err := w.Cancel(w.t.Context(), clientID, id)
	require.NoError(w.t, err)
}

func (w *world) requirePaid(id aitbc.JobID, reason coordinatorv1.ErrorReason, result string, paid aitbc.Amount) job.Job {
	w.t.Helper()
	w.settle()
	j := w.requireJob(id, job.Done, job.StatusCancelled, reason)
	require.Equal(w.t, paid, j.Settlement.Paid)
	require.Equal(w.t, j.Order.MaxPrice-paid, j.Settlement.Refunded)
	stored, err := w.store.Result(w.t.Context(), id)
	require.NoError(w.t, err)
	require.Equal(w.t, result, stored)
	require.Equal(w.t, aitbc.ResultHash([]byte(result)), j.Completion.ResultHash)
	require.Equal(w.t, aitbc.Commitment(j.Salt, j.Completion.ResultHash), j.Completion.Statement.ResultCommitment)
	acceptance := j.Completion.Acceptance()
	require.True(w.t, aitbc.Verify(operatorKey.Public().(ed25519.PublicKey), acceptance.SigningBytes(), j.Completion.AcceptanceSignature))
	return j
}

func TestAStoppedAnswerIsPaidByItsHighestRunningStatement(t *testing.T) {
	half := aitbc.Amount(30_000) // 1.5 s
	t.Run("when its miner says nothing any more", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			p, h := w.streaming()
			require.NoError(t, w.Progress(t.Context(), p.id, p.progress(h, answer[:10], "", 2, 500*time.Millisecond)), "an older one changes nothing")
			w.cancel(h.Job.ID)
			pass(job.StopGrace)
			j := w.requirePaid(h.Job.ID, cancelledReason, answer[:20], half)
			require.True(t, j.Completion.Statement.Running)
		})
	})
	t.Run("when its miner has gone", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			p, h := w.streaming()
			p.leave()
			w.cancel(h.Job.ID)
			pass(job.StopGrace)
			w.requirePaid(h.Job.ID, cancelledReason, answer[:20], half)
		})
	})
	t.Run("when its miner has nothing more to say", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			p, h := w.streaming()
			w.cancel(h.Job.ID)
			p.fail(h, cancelledReason)
			w.requirePaid(h.Job.ID, cancelledReason, answer[:20], half)
			_, revoked := p.got()
			require.Len(t, revoked, 1, "only the one that stopped it")
		})
	})
	t.Run("when its last word does not check", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			p, h := w.streaming()
			w.cancel(h.Job.ID)
			_, err := w.Complete(t.Context(), p.id, p.statement(h, "Machine", func(s *aitbc.Statement) { s.Stopped, s.Model = true, "other:latest" }))
			require.ErrorIs(t, err, &job.Error{Why: proofRejected})
			w.requirePaid(h.Job.ID, cancelledReason, answer[:20], half)
		})
	})
	t.Run("at the client's limit", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			p, h := w.streaming(func(r *dispatch.SubmitRequest) { r.Execution = 10 * time.Second })
			pass(5 * time.Second)
			p.fail(h, executionLimit)
			w.requirePaid(h.Job.ID, executionLimit, answer[:20], half)
		})
	})
	t.Run("not when its miner has a last word", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			p, h := w.streaming()
			w.cancel(h.Job.ID)
			pass(4 * time.Second) // what it computes from here on is its own affair
			_, err := w.Complete(t.Context(), p.id, p.statement(h, answer, func(s *aitbc.Statement) { s.Stopped, s.ComputeUS = true, 6_000_000 }))
			require.NoError(t, err)
			w.requirePaid(h.Job.ID, cancelledReason, answer, 40_000)
		})
	})
	t.Run("of a chat with the end of its message", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			p := w.connected(1, 1)
			content, err := aitbc.Chat{Messages: []aitbc.ChatMessage{{Role: "user", Content: "Hello."}}}.Content()
			require.NoError(t, err)
			w.queue(func(r *dispatch.SubmitRequest) { r.Type, r.Prompt = aitbc.TypeChat, content })
			h := p.lease()
			p.begin(h)
			pass(2 * time.Second)
			text := `{"role":"assistant","content":"Hel`
			p.chunk(h.Job.Lease().ID(), 0, text+"lo")
			require.NoError(t, w.Progress(t.Context(), p.id, p.progress(h, text, `"}`, 1, time.Second)))
			w.cancel(h.Job.ID)
			pass(job.StopGrace)
			w.requirePaid(h.Job.ID, cancelledReason, text+`"}`, 20_000)
		})
	})
}

func TestARunningStatementPaysNoAttemptThatIsRetriedOrLost(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p, h := w.streaming()
		p.fail(h, coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_OVERLOADED)
		second := w.connected(2, 1)
		again := second.lease()
		second.begin(again)
		w.cancel(h.Job.ID)
		pass(job.StopGrace)
		require.Equal(t, []job.Message{job.RefundJob}, w.owes(h.Job.ID), "the second attempt has signed nothing")
	})
}

func TestACoordinatorThatBeginsAnewTakesTheNextRunningStatement(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p, h := w.streaming()
		w.restart()
		p.state.Running = []string{h.Job.Lease().ID()}
		p.connect()
		late := p.progress(h, answer[:30], "", 6, 1700*time.Millisecond)
		require.NoError(t, w.Progress(t.Context(), p.id, late), "about text that is not here: it says nothing")
		p.chunk(h.Job.Lease().ID(), 0, answer[:40])
		require.NoError(t, w.Progress(t.Context(), p.id, late))
		w.cancel(h.Job.ID)
		pass(job.StopGrace)
		w.requirePaid(h.Job.ID, cancelledReason, answer[:30], 34_000)
	})
}

func TestARunningStatementThatDoesNotCheckEndsTheAttempt(t *testing.T) {
	for name, bad := range map[string]func(p *player, h dispatch.Handover) dispatch.Progress{
		"about another text": func(p *player, h dispatch.Handover) dispatch.Progress {
			bad := p.progress(h, "Something else altogether", "", 5, time.Second)
			bad.TextBytes = 20
			return bad
		},
		"about another model": func(p *player, h dispatch.Handover) dispatch.Progress {
			return p.progress(h, answer[:20], "", 5, time.Second, func(s *aitbc.Statement) { s.Model = "other:latest" })
		},
		"a final one": func(p *player, h dispatch.Handover) dispatch.Progress {
			return p.progress(h, answer[:20], "", 5, time.Second, func(s *aitbc.Statement) { s.Running = false })
		},
		"one that says stopped": func(p *player, h dispatch.Handover) dispatch.Progress {
			return p.progress(h, answer[:20], "", 5, time.Second, func(s *aitbc.Statement) { s.Stopped = true })
		},
		"with an ending that the type has not": func(p *player, h dispatch.Handover) dispatch.Progress {
			return p.progress(h, answer[:20], "and more", 5, time.Second)
		},
		"signed by nobody": func(p *player, h dispatch.Handover) dispatch.Progress {
			bad := p.progress(h, answer[:20], "", 5, time.Second)
			bad.Signature = make([]byte, 64)
			return bad
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				p, h := w.streaming()
				require.ErrorIs(t, w.Progress(t.Context(), p.id, bad(p, h)), &job.Error{Why: proofRejected})
				j := w.job(h.Job.ID)
				require.Equal(t, proofRejected, j.Failure.Reason)
				require.True(t, j.Excludes(p.id))
			})
		})
	}
}

func TestAWatcherThatHasSeenMoreThanWasSignedIsToldTheResult(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p, h := w.streaming()
		p.chunk(h.Job.Lease().ID(), 20, answer[20:30])
		watcher := w.watch(h.Job.ID, stream.Cursor{})
		defer watcher.Close()
		got, _ := seen(t, watcher)
		require.Equal(t, `running "`+answer[:30]+`"`, got)
		w.cancel(h.Job.ID)
		pass(job.StopGrace)
		w.settle()
		got, _ = seen(t, watcher)
		require.Equal(t, `reset "`+answer[:20]+`" done:`+answer[:20], got)
	})
}
