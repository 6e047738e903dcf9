package job

import coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"

// Verdict is what a failed attempt means for its job. In no case does the client pay for it.
type Verdict struct {
	// Retry says that the job may go to another miner.
	Retry bool
	// Exclude says that this miner must not get the job again.
	Exclude bool
	// Wait says that a retried job waits for another miner until its queue timeout even when none
	// is eligible; else it then fails at once.
	Wait bool
	// Blame says that the failure counts against the miner's reputation.
	Blame bool
}

// Judge is the one table of failure classes (docs/states.md). A reason it does not know is
// treated as an engine error.
func Judge(reason coordinatorv1.ErrorReason) Verdict {
	switch reason {
	case coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST,
		coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_OVERLOADED:
		return Verdict{Retry: true, Exclude: true, Wait: true, Blame: true}
	case coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED,
		coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED,
		coordinatorv1.ErrorReason_ERROR_REASON_TOTAL_TIMEOUT:
		return Verdict{}
	default: // engine error, incomplete stream, model gone, proof rejected, default execution limit
		return Verdict{Retry: true, Exclude: true, Blame: true}
	}
}
