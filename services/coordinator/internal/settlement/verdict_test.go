package settlement

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestEveryCodeHasAVerdict(t *testing.T) {
	t.Parallel()
	asks := map[ledgerv1.ResultCode]bool{
		ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_JOB: true, ledgerv1.ResultCode_RESULT_CODE_NOT_OPEN: true,
		ledgerv1.ResultCode_RESULT_CODE_ALREADY_REFUNDING: true, ledgerv1.ResultCode_RESULT_CODE_TOO_LATE: true,
		ledgerv1.ResultCode_RESULT_CODE_EXPIRED: true,
	}
	poor := map[ledgerv1.ResultCode]bool{
		ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS: true, ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT: true,
		ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_ALLOWANCE: true,
	}
	for number := range ledgerv1.ResultCode_name {
		code := ledgerv1.ResultCode(number)
		for _, kind := range []job.Message{job.SubmitJob, job.RecordReceipt, job.RefundJob} {
			e := &entry{key: key{kind: kind}, job: job.Job{Completion: &job.Completion{}}}
			outcome, what := judge(e, &ledgerv1.MessageResult{Code: code}, block{now: noon, height: 1}, time.Second)
			_, unconfirmed := judge(e, &ledgerv1.MessageResult{Code: code}, block{now: noon}, time.Second)
			switch {
			case code == 0:
				require.Equal(t, finish, what)
				require.Equal(t, kind != job.SubmitJob, outcome.Settlement != nil)
			case asks[code]:
				require.Equal(t, look, what, "%s %s", kind, code)
			case kind != job.SubmitJob:
				require.Equal(t, alarm, what, "%s %s", kind, code)
			default:
				require.Equal(t, finish, what, "%s", code)
				want, alone := coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED, finish
				if poor[code] {
					want, alone = coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, doubt
				}
				require.Equal(t, want, outcome.Refused.Reason, "%s", code)
				require.Equal(t, alone, unconfirmed, "%s, by a check alone", code)
				e.loose = noon.Add(time.Microsecond)
				_, what = judge(e, &ledgerv1.MessageResult{Code: code}, block{now: noon}, time.Second)
				require.Equal(t, later, what, "an earlier transaction may still make the escrow")
			}
		}
	}
}

func TestWhatTheLedgerKnowsOfAJob(t *testing.T) {
	t.Parallel()
	order := aitbc.Order{ExpiresUS: noon.UnixMicro(), SettleByUS: noon.Add(time.Hour).UnixMicro()}
	open := &ledgerv1.Escrow{TxHash: make([]byte, 32), AmountUaitbc: 5}
	refunding := &ledgerv1.Escrow{RefundFinalUs: noon.UnixMicro(), RefundTxHash: make([]byte, 32), AmountUaitbc: 5}
	paid := &ledgerv1.Settlement{Outcome: ledgerv1.Settlement_OUTCOME_PAID, PaidUaitbc: 2, RefundedUaitbc: 3}
	for name, test := range map[string]struct {
		kind       job.Message
		escrow     *ledgerv1.Escrow
		settlement *ledgerv1.Settlement
		clock      time.Time
		want       next
	}{
		"escrow of a submit":                {kind: job.SubmitJob, escrow: open, want: finish},
		"submit, settled meanwhile":         {kind: job.SubmitJob, settlement: paid, want: finish},
		"submit, nothing, order valid":      {kind: job.SubmitJob, clock: noon, want: later},
		"submit, nothing, order expired":    {kind: job.SubmitJob, clock: noon.Add(time.Microsecond), want: finish},
		"receipt, paid":                     {kind: job.RecordReceipt, settlement: paid, want: finish},
		"receipt, still open":               {kind: job.RecordReceipt, escrow: open, want: later},
		"receipt, nothing, before settling": {kind: job.RecordReceipt, clock: noon, want: later},
		"receipt, history gone":             {kind: job.RecordReceipt, clock: noon.Add(2 * time.Hour), want: alarm},
		"refund, asked for":                 {kind: job.RefundJob, escrow: refunding, want: finish},
		"refund, not asked for":             {kind: job.RefundJob, escrow: open, want: later},
		"refund, overtaken by a receipt":    {kind: job.RefundJob, settlement: paid, want: finish},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &entry{key: key{kind: test.kind}, job: job.Job{Order: order}}
			outcome, what := judgeJob(e, &ledgerv1.GetJobResponse{
				Escrow: test.escrow, Settlement: test.settlement, LedgerTimeUs: test.clock.UnixMicro(),
			})
			require.Equal(t, test.want, what)
			if test.settlement != nil {
				require.True(t, outcome.Settlement.HasReceipt)
				require.Equal(t, aitbc.Amount(2), outcome.Settlement.Paid)
			}
		})
	}
}

func TestClockOfABlock(t *testing.T) {
	t.Parallel()
	params := &ledgerv1.Params{MaxBlockGapUs: 10_000_000}
	const cut = time.Hour
	for name, test := range map[string]struct {
		now  time.Time // the ledger's clock when looked up
		cut  time.Duration
		want time.Time
	}{
		"looked up at once":          {now: noon, cut: cut, want: noon},
		"looked up later":            {now: noon.Add(9 * time.Second), cut: cut, want: noon},
		"an outage in between":       {now: noon.Add(10 * time.Second), cut: 2 * cut, want: noon.Add(10 * time.Second)},
		"head older than the outage": {now: noon, cut: 0, want: noon},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := &ledgerv1.GetTransactionResponse{BlockTimeUs: noon.Add(cut).UnixMicro(), LedgerTimeUs: test.now.UnixMicro()}
			head := ledger.Head{LedgerTime: test.now, BlockTime: test.now.Add(test.cut), Params: params}
			require.Equal(t, test.want, newBlock(aitbc.Hash{}, answer, head).ledgerTime)
		})
	}
}
