package settlement_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/ledgertest"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement/settlementtest"
)

func TestLedgerAwayAndBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.chain.Away(true)
		id := w.owe(t, job.SubmitJob)
		w.start(t)
		elapse(10 * time.Minute / 4)
		require.Equal(t, 1, w.book.Owed())
		w.chain.Away(false)
		w.await(t, "escrow", func() bool { return w.book.Job(id).Phase == job.Queued })
		require.Len(t, w.book.Outcomes(id, job.SubmitJob), 1)
	})
}

func TestMempoolFullIsWaitedFor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.chain.Full(true)
		id := w.owe(t, job.SubmitJob)
		w.start(t)
		elapse(20 * time.Second)
		require.Equal(t, job.Escrowing, w.book.Job(id).Phase)
		require.Less(t, w.chain.Broadcasts(), 40, "a full mempool is not hammered")
		w.chain.Full(false)
		w.await(t, "escrow", func() bool { return w.book.Job(id).Phase == job.Queued })
	})
}

func TestLostMempoolIsSentAgainWithTheSameBytes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.chain.Manual(true)
		id := w.owe(t, job.SubmitJob)
		w.start(t)
		synctest.Wait()
		require.Equal(t, 1, w.chain.Waiting())
		w.chain.LoseMempool()
		elapse(w.config.ResendAfter + heartbeat)
		w.chain.Block(0)
		w.await(t, "escrow", func() bool { return w.book.Job(id).Phase == job.Queued })
		require.Equal(t, []int{1}, w.chain.Committed(), "one transaction, not two")
	})
}

func TestTransactionThatExpiredTravelsInANewOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.chain.Manual(true)
		id := w.owe(t, job.SubmitJob)
		w.start(t)
		synctest.Wait()
		w.chain.LoseMempool()
		w.chain.Full(true)
		elapse(w.config.TxLife + 4*heartbeat)
		w.chain.Full(false)
		w.chain.Manual(false)
		w.await(t, "escrow", func() bool { return w.book.Job(id).Phase == job.Queued })
		require.Len(t, w.book.Outcomes(id, job.SubmitJob), 1)
	})
}

func TestEmptyAccountIsRefusedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(t)
		synctest.Wait() // the outbox was seen empty: what comes now was never sent before
		j := w.cast.Job(t, w.chain.Now())
		j.Order.MaxPrice = 1_000_000 * settlementtest.MaxPrice
		w.book.Put(j, job.SubmitJob)
		w.notify()
		before := time.Now()
		w.await(t, "refusal", func() bool { return w.book.Job(j.ID).Phase == job.Done })
		require.Less(t, time.Since(before), time.Second)
		done := w.book.Job(j.ID)
		require.Equal(t, job.StatusFailed, done.Status())
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, done.Failure.Reason)
		require.Contains(t, done.Failure.Message, "insufficient allowance")
		require.Nil(t, done.Settlement)
	})
}

// A check takes what waits in the mempool for spent, and anybody can make something wait.
func TestARefusalThatTheLastBlockDoesNotBearOutIsNotBelieved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(t)
		synctest.Wait()
		w.chain.Drained(true)
		id := w.owe(t, job.SubmitJob)
		w.notify()
		elapse(time.Minute)
		require.Equal(t, job.Escrowing, w.book.Job(id).Phase)
		require.Empty(t, w.chain.Committed())
		require.Less(t, w.chain.Broadcasts(), 10, "it is not hammered")
		w.chain.Drained(false)
		w.await(t, "escrow", func() bool { return w.book.Job(id).Phase == job.Queued })
	})
}

func TestARefusalThatNobodyBearsOutEndsWithTheOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(t)
		synctest.Wait()
		w.chain.Drained(true)
		id := w.owe(t, job.SubmitJob)
		w.notify()
		w.await(t, "refusal", func() bool { return w.book.Job(id).Phase == job.Done })
		require.Greater(t, w.chain.Now().UnixMicro(), w.book.Job(id).Order.ExpiresUS)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED, w.book.Job(id).Failure.Reason)
	})
}

func TestOneBadMessageDoesNotSinkItsNeighbours(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		good := w.cast.Job(t, w.chain.Now())
		bad := w.cast.Job(t, w.chain.Now())
		bad.OrderSignature, bad.ClientKey = bytes.Repeat([]byte{1}, 64), bytes.Repeat([]byte{1}, 32)
		w.start(t)
		synctest.Wait()
		w.book.Put(bad, job.SubmitJob)
		w.book.Put(good, job.SubmitJob)
		w.notify()
		w.await(t, "both", func() bool { return w.book.Owed() == 0 })
		require.Equal(t, job.Queued, w.book.Job(good.ID).Phase)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED, w.book.Job(bad.ID).Failure.Reason)
	})
}

func TestTransactionOfBadMessagesHasNoBlock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start(t)
		synctest.Wait()
		var ids []aitbc.JobID
		for range 9 {
			j := w.cast.Job(t, w.chain.Now())
			j.Order.MaxPrice = 1_000_000 * settlementtest.MaxPrice
			ids = append(ids, j.ID)
			w.book.Put(j, job.SubmitJob)
		}
		w.notify()
		w.await(t, "refusals", func() bool { return w.book.Owed() == 0 })
		for _, id := range ids {
			require.Len(t, w.book.Outcomes(id, job.SubmitJob), 1)
		}
		require.Empty(t, w.chain.Committed())
		require.Equal(t, 1, w.chain.Broadcasts())
	})
}

// A run that finds a message in the outbox cannot know whether the run before sent it.
func TestRefusalIsNotBelievedWhileAnEarlierTransactionMayCommit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		j := w.cast.Job(t, w.chain.Now())
		j.Order.MaxPrice = 1_000_000 * settlementtest.MaxPrice
		w.book.Put(j, job.SubmitJob)
		began := w.chain.Now()
		w.start(t)
		w.await(t, "refusal", func() bool { return w.book.Job(j.ID).Phase == job.Done })
		require.Greater(t, w.chain.Now().Sub(began), w.config.TxLife)
	})
}

func TestOrderThatExpiredUnsentIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.owe(t, job.SubmitJob)
		elapse(settlementtest.OrderLife + heartbeat)
		w.start(t)
		w.await(t, "refusal", func() bool { return w.book.Job(id).Phase == job.Done })
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED, w.book.Job(id).Failure.Reason)
		require.Contains(t, w.book.Job(id).Failure.Message, "expired")
	})
}

func TestEscrowThatTheLedgerReturnedByItself(t *testing.T) {
	t.Parallel()
	for _, kind := range []job.Message{job.RecordReceipt, job.RefundJob} {
		t.Run(string(kind), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				id := w.owe(t, kind)
				elapse(settlementtest.SettleIn + heartbeat)
				w.start(t)
				w.await(t, "outcome", func() bool { return w.book.Job(id).Phase == job.Done })
				done := w.book.Job(id)
				require.NotEqual(t, job.StatusCompleted, done.Status())
				require.Equal(t, settlementtest.MaxPrice, done.Settlement.Refunded)
				require.True(t, done.Settlement.TxHash.IsZero())
				require.False(t, done.Settlement.HasReceipt)
				if kind == job.RecordReceipt {
					require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_SETTLEMENT_EXPIRED, done.Failure.Reason)
				}
			})
		})
	}
}

func TestReceiptThatTheLedgerRefusesEndsAtTheDeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.owe(t, job.RecordReceipt)
		j := w.book.Job(id)
		broken := *j.Completion
		broken.Signature = bytes.Repeat([]byte{1}, 64)
		j.Completion = &broken
		w.book.Put(j, job.None)
		w.start(t)
		elapse(time.Minute)
		require.Equal(t, job.Settling, w.book.Job(id).Phase)
		w.await(t, "outcome", func() bool { return w.book.Job(id).Phase == job.Done })
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_SETTLEMENT_EXPIRED, w.book.Job(id).Failure.Reason)
		require.Less(t, w.chain.Broadcasts(), 60, "it is not hammered")
	})
}

func TestACommitThatBecomesVisibleLateIsFoundWithinSeconds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		late := w.owe(t, job.SubmitJob)
		w.book.Withhold(late, true)
		w.start(t)
		early := w.owe(t, job.SubmitJob)
		w.await(t, "the one behind it", func() bool { return w.book.Job(early).Phase == job.Queued })
		w.book.Withhold(late, false)
		elapse(5 * time.Second) // far less than a sweep takes to come
		require.Equal(t, job.Queued, w.book.Job(late).Phase)
	})
}

func TestRefundNeverOvertakesItsEscrow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		j := w.cast.Job(t, w.chain.Now())
		w.book.Put(j, job.RefundJob) // what the domain never does
		w.start(t)
		elapse(3 * w.config.SweepEvery)
		require.Zero(t, w.chain.Broadcasts())
		require.Equal(t, job.Escrowing, w.book.Job(j.ID).Phase)
	})
}

func TestCancelledDuringEscrowIsRefundedAfterIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.chain.Manual(true)
		id := w.owe(t, job.SubmitJob)
		w.start(t)
		synctest.Wait()
		j, owes, err := w.book.Job(id).Cancelled(w.chain.Now())
		require.NoError(t, err)
		require.Equal(t, job.None, owes)
		w.book.Put(j, owes)
		w.chain.Manual(false)
		w.chain.Block(0)
		w.await(t, "refund", func() bool { return w.book.Job(id).Phase == job.Done })
		require.Equal(t, job.StatusCancelled, w.book.Job(id).Status())
		require.Equal(t, settlementtest.MaxPrice, w.book.Job(id).Settlement.Refunded)
		elapse(2 * ledgertest.RefundWindow)
		require.Equal(t, 1000*settlementtest.MaxPrice, w.chain.Balance(settlementtest.Account(w.cast.Client)))
	})
}
