package job

import (
	"fmt"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Deadline gives when the job's next timeout is due; zero: none runs. The caller then applies
// Expired at that time.
func (j Job) Deadline() time.Time {
	switch j.Phase {
	case Queued:
		return earlier(j.QueuedAt.Add(j.QueueTimeout), j.totalDeadline())
	case Leased, Running, Unknown:
		if !j.StopBy.IsZero() {
			return j.StopBy
		}
		return earlier(j.attemptDeadline(), j.totalDeadline())
	default: // the escrow's outcome is awaited, or the settlement's: no timeout applies
		return time.Time{}
	}
}

func (j Job) totalDeadline() time.Time { return j.SubmittedAt.Add(j.TotalTimeout) }

// attemptDeadline is when the current attempt must have its result: the execution limit counted
// from its start, or with LeaseGrace from its hand-over while no start was reported.
func (j Job) attemptDeadline() time.Time {
	if j.StartedAt.IsZero() {
		return j.LeasedAt.Add(j.ExecutionLimit() + LeaseGrace)
	}
	return j.StartedAt.Add(j.ExecutionLimit())
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Expired applies the timeout that is due at now; when none is, it changes nothing. A job whose
// client set the execution limit is told to stop and pays for what was done; so its miner has
// StopGrace to send its statement.
func (j Job) Expired(now time.Time) (Job, Message, error) {
	due := j.Deadline()
	if due.IsZero() || now.Before(due) {
		return j, None, nil
	}
	total := !now.Before(j.totalDeadline())
	totalFailure := Failure{
		coordinatorv1.ErrorReason_ERROR_REASON_TOTAL_TIMEOUT,
		fmt.Sprintf("not done within the total timeout of %s", j.TotalTimeout),
	}
	switch {
	case !j.StopBy.IsZero():
		j.Phase, j.StopBy = Settling, time.Time{}
		return j, RefundJob, nil
	case j.Phase == Queued && total:
		return j.end(StatusFailed, totalFailure)
	case j.Phase == Queued && !j.Failure.IsZero():
		return j.end(StatusFailed, j.Failure)
	case j.Phase == Queued:
		return j.end(StatusFailed, Failure{
			coordinatorv1.ErrorReason_ERROR_REASON_QUEUE_TIMEOUT,
			fmt.Sprintf("no miner took it within the queue timeout of %s", j.QueueTimeout),
		})
	case total:
		return j.end(StatusFailed, totalFailure)
	case j.StartedAt.IsZero():
		return j.AttemptFailed(now, j.Miner, j.Attempt, Failure{
			coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST,
			fmt.Sprintf("attempt %d: its lease expired before it started", j.Attempt),
		})
	}
	limit := j.limitReached()
	if j.ClientLimit {
		j.Outcome, j.Failure, j.StopBy = StatusCancelled, limit, now.Add(StopGrace)
		return j, None, nil
	}
	return j.AttemptFailed(now, j.Miner, j.Attempt, limit)
}

func (j Job) limitReached() Failure {
	return Failure{
		coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT,
		fmt.Sprintf("attempt %d reached the execution limit of %s", j.Attempt, j.ExecutionLimit()),
	}
}
