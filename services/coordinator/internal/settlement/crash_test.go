package settlement_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/ledgertest"
)

var errCrash = errors.New("crashed here")

// atBroadcast gives a hook that ends the run at its first broadcast and then goes on as said.
func atBroadcast(w *world, then func()) func(ledgertest.Op) error {
	crashed := false
	return func(now ledgertest.Op) error {
		if now != ledgertest.OpBroadcast || crashed {
			return nil
		}
		crashed = true
		w.stop()
		then()
		return errCrash
	}
}

// crashes are the moments between two steps at which the run that is started next may end.
var crashes = map[string]func(w *world){
	"before the broadcast": func(w *world) {
		w.chain.Hooks(atBroadcast(w, func() {}), nil)
	},
	"after the broadcast, before a block": func(w *world) {
		w.chain.Manual(true)
		w.chain.Hooks(nil, atBroadcast(w, func() {}))
	},
	"after the block, before it was seen": func(w *world) {
		w.chain.Manual(true) // the run must have ended when the block comes, or it may see it
		w.chain.Hooks(nil, atBroadcast(w, func() { w.chain.Block(0) }))
	},
	"after it was seen, before it was settled": func(w *world) {
		w.book.Settling(func() { w.stop() })
	},
	"while the store fails": func(w *world) {
		w.book.Refuse(errCrash)
		w.book.Settling(func() { w.stop() })
	},
}

func TestCrashAnywhereLeavesOneOutcome(t *testing.T) {
	t.Parallel()
	for moment, arrange := range crashes {
		for kind, phase := range kinds {
			for _, mempoolLost := range []bool{false, true} {
				name := string(kind) + " " + moment
				if mempoolLost {
					name += ", mempool lost"
				}
				t.Run(name, func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						id := w.owe(t, kind)
						arrange(w) // before the start: a run may be quick
						w.start(t)
						synctest.Wait()
						elapse(heartbeat / 2)
						require.Empty(t, w.book.Outcomes(id, kind), "the crash came too late to be one")
						if mempoolLost {
							w.chain.LoseMempool()
						}
						w.chain.Hooks(nil, nil)
						w.book.Settling(nil)
						w.chain.Manual(false)
						w.start(t)
						w.await(t, "outcome", func() bool { return w.book.Job(id).Phase == phase })
						require.Len(t, w.book.Outcomes(id, kind), 1)
						require.Zero(t, w.book.Owed())
						requireTruth(t, w, kind, w.book.Job(id))
					})
				})
			}
		}
	}
}

// requireTruth holds what the job says to what the chain says.
func requireTruth(t *testing.T, w *world, kind job.Message, j job.Job) {
	t.Helper()
	require.False(t, j.EscrowTx.IsZero())
	if kind == job.SubmitJob {
		return
	}
	require.Equal(t, kind == job.RecordReceipt, j.Settlement.HasReceipt)
	require.False(t, j.Settlement.TxHash.IsZero())
	require.Positive(t, j.Settlement.Height)
	require.Equal(t, j.Order.MaxPrice, j.Settlement.Paid+j.Settlement.Refunded)
	if kind == job.RefundJob {
		elapse(2 * ledgertest.RefundWindow)
		require.Equal(t, ledgertest.RefundWindow, j.Settlement.RefundFinalAt.Sub(j.Settlement.BlockTime))
	}
	onChain := w.chain.Settlement(j.ID)
	require.NotNil(t, onChain)
	require.Equal(t, int64(j.Settlement.Paid), onChain.GetPaidUaitbc())
	require.Equal(t, int64(j.Settlement.Refunded), onChain.GetRefundedUaitbc())
	require.Equal(t, j.Settlement.TxHash[:], onChain.GetTxHash())
}
