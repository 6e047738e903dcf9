package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

func TestOnlyAMinersOwnSecondFinalStatementAccusesIt(t *testing.T) {
	for name, c := range map[string]struct {
		second func(p *player, h dispatch.Handover) dispatch.Result
		want   int
	}{
		"the same again": {func(p *player, h dispatch.Handover) dispatch.Result { return p.statement(h, answer) }, 0},
		"another answer": {func(p *player, h dispatch.Handover) dispatch.Result { return p.statement(h, "no") }, 1},
		"another answer, signed by nobody": {func(p *player, h dispatch.Handover) dispatch.Result {
			r := p.statement(h, "no")
			r.Signature = make([]byte, 64)
			return r
		}, 0},
		"about another lease": {func(p *player, h dispatch.Handover) dispatch.Result {
			return p.statement(h, "no", func(s *aitbc.Statement) { s.LeaseHash[0] ^= 1 })
		}, 0},
		"a running statement": {func(p *player, h dispatch.Handover) dispatch.Result {
			return p.statement(h, "no", func(s *aitbc.Statement) { s.Running = true })
		}, 0},
		"no statement": {func(_ *player, h dispatch.Handover) dispatch.Result {
			return dispatch.Result{JobID: h.Job.ID, Attempt: h.Job.Attempt, Result: "no"}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				p := w.connected(1, 1)
				w.queue()
				h := p.lease()
				p.finish(h)
				second := c.second(p, h)
				_, err := w.Complete(t.Context(), p.id, second)
				if name == "the same again" {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE})
				}
				require.Len(t, w.accused, c.want)
				for _, accused := range w.accused {
					require.Equal(t, h.Job.ID, accused.Job.ID)
					require.Equal(t, second.Statement, accused.Statement)
				}
			})
		})
	}
}

func TestARunningStatementThatWasPaidAccusesNobody(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p, h := w.streaming()
		w.cancel(h.Job.ID)
		pass(job.StopGrace)
		_, err := w.Complete(t.Context(), p.id, p.statement(h, answer))
		require.ErrorIs(t, err, &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE})
		require.Empty(t, w.accused, "its last word came late, and it is its only one")
	})
}

func TestAMinerThatIsExpelledLosesItsSession(t *testing.T) {
	inWorld(t, nil, func(_ *testing.T, w *world) {
		p := w.connected(1, 1)
		w.Expel(keyless)
		require.False(w.t, p.ended)
		w.Expel(p.id)
		require.True(w.t, p.ended)
	})
}

// keyless is an account that is no miner.
var keyless = aitbc.AccountID{7}
