package api

import (
	"sync/atomic"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// reads counts what was shown, for the fault whose answer changes.
var reads atomic.Int64

// plantInJob has a job shown wrongly. It exists only in programs built for tools/chaos, which plants one
// fault at a time to see that its checker finds it.
func plantInJob(m *coordinatorv1.Job) *coordinatorv1.Job {
	done := m.GetPhase() == "done"
	switch {
	case !crash.Enabled || !done:
	case crash.Planted("hidden-refund"):
		m.Refund = nil
	case crash.Planted("free-lunch"):
		m.Cost = "0aitbc"
	case crash.Planted("paid-and-failed") && m.GetReceiptId() != "":
		m.Status = "failed"
	case crash.Planted("no-receipt"):
		m.ReceiptId = ""
	case crash.Planted("unstable-end") && reads.Add(1)%2 == 0 && m.GetStatus() == "completed":
		m.Status, m.ReceiptId, m.Cost = "cancelled", "", "0aitbc"
	}
	return m
}

// plantInReceipt is plantInJob for receipts.
func plantInReceipt(m *coordinatorv1.Receipt) *coordinatorv1.Receipt {
	switch {
	case !crash.Enabled:
	case crash.Planted("other-hash"):
		m.ResultHash = m.GetTxHash()
	case crash.Planted("overpaid"):
		m.Meter.MeteredTime /= 2
	case crash.Planted("other-transaction"):
		m.TxHash = m.GetResultHash()
	}
	return m
}
