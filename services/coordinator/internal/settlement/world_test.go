package settlement_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/ledgertest"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement/settlementtest"
)

// heartbeat is how often an idle chain makes a block.
const heartbeat = 2 * time.Second

// world is a ledger, a book and a settlement between them, in a bubble of testing/synctest.
type world struct {
	cast   *settlementtest.Cast
	chain  *ledgertest.Chain
	client *ledger.Client
	book   *settlementtest.Book
	config settlement.Config
	supply aitbc.Amount
	stop   func()
	notify func()
}

// inWorld runs a test in a bubble. The chain makes a block every heartbeat, and one for each
// transaction while it is not manual.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cast := settlementtest.NewCast(chainID)
		w := &world{
			cast: cast, chain: newChain(cast), book: settlementtest.NewBook(),
			config: settlement.DefaultConfig(),
		}
		w.supply = w.chain.Supply()
		w.client = follow(t, w.chain)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			ticker := time.NewTicker(heartbeat)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					w.chain.Block(heartbeat)
				}
			}
		}()
		_, err := w.client.Await(t.Context())
		require.NoError(t, err)
		test(t, w)
		require.Equal(t, w.supply, w.chain.Supply(), "no token may appear or vanish")
	})
}

// start runs a new settlement, as a new process would.
func (w *world) start(t *testing.T) {
	t.Helper()
	s := newSettlement(t, w.config, w.cast, w.client, w.book)
	ctx, cancel := context.WithCancel(t.Context())
	w.notify, w.stop = s.Notify, cancel
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// owe puts a job into the book that owes a message of this kind; its escrow, if it has one, is on
// the chain already.
func (w *world) owe(t *testing.T, kind job.Message) aitbc.JobID {
	t.Helper()
	j := w.cast.Job(t, w.chain.Now())
	if kind == job.SubmitJob {
		w.book.Put(j, kind)
		return j.ID
	}
	w.book.Put(j, job.SubmitJob)
	w.start(t)
	w.await(t, "escrow", func() bool { return w.book.Job(j.ID).Phase == job.Queued })
	w.stop()
	synctest.Wait()
	j = w.book.Job(j.ID)
	var owes job.Message
	if kind == job.RecordReceipt {
		j, owes = w.cast.Accept(t, j, w.chain.Now())
	} else {
		var err error
		j, owes, err = j.Cancelled(w.chain.Now())
		require.NoError(t, err)
	}
	require.Equal(t, kind, owes)
	w.book.Put(j, owes)
	return j.ID
}

func (w *world) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	w.book.AwaitInBubble(t, what, ok)
}

// elapse lets the bubble's time pass.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// kinds are the messages with the phase that their outcome leads to.
var kinds = map[job.Message]job.Phase{
	job.SubmitJob: job.Queued, job.RecordReceipt: job.Done, job.RefundJob: job.Done,
}
