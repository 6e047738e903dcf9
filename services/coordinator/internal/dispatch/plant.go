package dispatch

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// The faults below exist only in programs built for tools/chaos, which plants one at a time to see
// that its checker finds it.

// plantedLoss is a job that is acknowledged and was never stored.
func plantedLoss(id aitbc.JobID) bool {
	return crash.Enabled && crash.Planted("lost-job") && id[len(id)-1]%2 == 0
}

// plantedDrop is a message to the ledger that is forgotten.
func plantedDrop(owed job.Message) bool {
	return crash.Enabled && (owed == job.RefundJob && crash.Planted("dropped-refund") || owed == job.RecordReceipt && crash.Planted("dropped-receipt"))
}

// plantedText is a result that is not stored as it came.
func plantedText(result string) string {
	if crash.Enabled && crash.Planted("altered-result") {
		return result + " "
	}
	return result
}
