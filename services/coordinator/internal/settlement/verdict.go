package settlement

import (
	"fmt"
	"strings"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// block is where and when a transaction was committed; its height is zero when it was not.
type block struct {
	tx     aitbc.Hash
	height int64
	time   time.Time
	// ledgerTime is the ledger's clock in that block, now the ledger's clock when it was looked up.
	ledgerTime time.Time
	now        time.Time
}

// newBlock reads a committed transaction's block. The ledger's clock in it is its time less the
// cut-off of all outages, which is known for the head only. If there was an outage in between, the
// clock has since gone on by at least the longest gap that does not stop it; then the clock of now
// stands for the block's, so that a refund is never called final too early.
func newBlock(tx aitbc.Hash, answer *ledgerv1.GetTransactionResponse, head ledger.Head) block {
	b := block{
		tx: tx, height: answer.GetHeight(),
		time: time.UnixMicro(answer.GetBlockTimeUs()).UTC(),
		now:  time.UnixMicro(answer.GetLedgerTimeUs()).UTC(),
	}
	b.ledgerTime = b.time.Add(head.LedgerTime.Sub(head.BlockTime))
	maxGap := time.Duration(head.Params.GetMaxBlockGapUs()) * time.Microsecond
	if b.now.Sub(b.ledgerTime) >= maxGap || b.ledgerTime.After(b.now) {
		b.ledgerTime = b.now
	}
	return b
}

// next says what to do about a message.
type next int

const (
	// finish: the outcome is known.
	finish next = iota
	// look: the ledger is asked about the job itself.
	look
	// later: nothing is decided; the message is tried again.
	later
	// alarm: like later, and a human should know.
	alarm
	// doubt: the outcome holds if the last block bears it out; else like later.
	doubt
)

// judge reads one message's result. It is pure.
func judge(e *entry, result *ledgerv1.MessageResult, at block, refundWindow time.Duration) (job.Outcome, next) {
	o := job.Outcome{JobID: e.key.job, Kind: e.key.kind}
	code := result.GetCode()
	switch {
	case code == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED:
		return applied(e, o, at, refundWindow), finish
	case code == ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_JOB,
		code == ledgerv1.ResultCode_RESULT_CODE_NOT_OPEN,
		code == ledgerv1.ResultCode_RESULT_CODE_ALREADY_REFUNDING,
		code == ledgerv1.ResultCode_RESULT_CODE_TOO_LATE,
		code == ledgerv1.ResultCode_RESULT_CODE_EXPIRED:
		return o, look
	case e.key.kind != job.SubmitJob:
		return o, alarm
	case at.now.Before(e.loose):
		return o, later // an earlier transaction may still make the escrow
	case at.height == 0 && poor(code):
		// A check counts what waits in the mempool as spent, and anybody can make something wait.
		o.Refused = refusal(result)
		return o, doubt
	default:
		o.Refused = refusal(result)
		return o, finish
	}
}

// poor tells refusals for want of money.
func poor(code ledgerv1.ResultCode) bool {
	switch code {
	case ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS,
		ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_ALLOWANCE,
		ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT:
		return true
	default:
		return false
	}
}

func applied(e *entry, o job.Outcome, at block, refundWindow time.Duration) job.Outcome {
	order := e.job.Order
	switch e.key.kind {
	case job.SubmitJob:
		o.EscrowTx = at.tx
	case job.RecordReceipt:
		metered := time.Duration(e.job.Completion.MeteredUS) * time.Microsecond
		paid := aitbc.Price(metered, order.Price, order.MaxPrice)
		if crash.Enabled && crash.Planted("skimmed") {
			paid = max(0, paid-1)
		}
		o.Settlement = &job.Settlement{
			Paid: paid, Refunded: order.MaxPrice - paid, HasReceipt: true,
			Height: at.height, BlockTime: at.time, TxHash: at.tx,
		}
	default:
		o.Settlement = &job.Settlement{
			Refunded: order.MaxPrice,
			Height:   at.height, BlockTime: at.time, TxHash: at.tx,
			RefundFinalAt: at.ledgerTime.Add(refundWindow),
		}
	}
	return o
}

// refusal says why the ledger will not hold the money.
func refusal(result *ledgerv1.MessageResult) job.Failure {
	reason := coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED
	if poor(result.GetCode()) {
		reason = coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS
	}
	word := strings.ToLower(strings.TrimPrefix(result.GetCode().String(), "RESULT_CODE_"))
	text := fmt.Sprintf("the ledger refused the escrow: %s", strings.ReplaceAll(word, "_", " "))
	if result.GetDetail() != "" {
		text += " (" + result.GetDetail() + ")"
	}
	return job.Failure{Reason: reason, Message: text}
}

// judgeJob reads what the ledger knows of a job. It is pure.
func judgeJob(e *entry, answer *ledgerv1.GetJobResponse) (job.Outcome, next) {
	o := job.Outcome{JobID: e.key.job, Kind: e.key.kind}
	clock := time.UnixMicro(answer.GetLedgerTimeUs())
	switch escrow, settlement := answer.GetEscrow(), answer.GetSettlement(); {
	case settlement != nil:
		o.Settlement = fromLedger(settlement, e.job.Order)
		o.EscrowTx = toHash(settlement.GetEscrowTxHash())
		return o, finish
	case escrow != nil && e.key.kind == job.SubmitJob:
		o.EscrowTx = toHash(escrow.GetTxHash())
		return o, finish
	case escrow != nil && e.key.kind == job.RefundJob && escrow.GetRefundFinalUs() != 0:
		o.Settlement = &job.Settlement{
			Refunded:      aitbc.Amount(escrow.GetAmountUaitbc()),
			TxHash:        toHash(escrow.GetRefundTxHash()),
			RefundFinalAt: time.UnixMicro(escrow.GetRefundFinalUs()).UTC(),
		}
		return o, finish
	case escrow != nil:
		return o, later
	case e.key.kind == job.SubmitJob && clock.After(time.UnixMicro(e.job.Order.ExpiresUS)):
		o.Refused = job.Failure{
			Reason:  coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED,
			Message: "the order expired before the ledger held the money",
		}
		return o, finish
	case e.key.kind != job.SubmitJob && clock.After(time.UnixMicro(e.job.Order.SettleByUS)):
		return o, alarm // it was settled, and this node's history no longer has how
	default:
		return o, later
	}
}

// fromLedger translates how an escrow ended.
func fromLedger(s *ledgerv1.Settlement, order aitbc.Order) *job.Settlement {
	out := &job.Settlement{
		Paid:       aitbc.Amount(s.GetPaidUaitbc()),
		Refunded:   aitbc.Amount(s.GetRefundedUaitbc()),
		Height:     s.GetHeight(),
		BlockTime:  time.UnixMicro(s.GetBlockTimeUs()).UTC(),
		TxHash:     toHash(s.GetTxHash()),
		HasReceipt: s.GetOutcome() == ledgerv1.Settlement_OUTCOME_PAID,
	}
	switch s.GetOutcome() {
	case ledgerv1.Settlement_OUTCOME_REFUNDED:
		out.RefundFinalAt = out.BlockTime
	case ledgerv1.Settlement_OUTCOME_EXPIRED:
		out.RefundFinalAt = time.UnixMicro(order.SettleByUS).UTC()
	default:
	}
	return out
}

func toHash(b []byte) aitbc.Hash {
	var h aitbc.Hash
	if len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}
