package job_test

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

var (
	submitted = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	minerA    = aitbc.AccountID{0xa}
	minerB    = aitbc.AccountID{0xb}
	lost      = job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST, Message: "gone"}
)

// at gives the time some seconds after the submit.
func at(seconds int) time.Time { return submitted.Add(time.Duration(seconds) * time.Second) }

func newJob() job.Job {
	id := aitbc.JobID{1}
	return job.Job{
		ID:           id,
		Order:        aitbc.Order{JobID: id, MaxPrice: 6_000_000, Price: 20_000, ExecutionLimitUS: 300_000_000},
		QueueTimeout: 60 * time.Second, TotalTimeout: 360 * time.Second, MaxAttempts: 3,
		Phase: job.Escrowing, SubmittedAt: submitted,
	}
}

// step is a transition with its arguments.
type step func(j job.Job) (job.Job, job.Message, error)

// after gives the job after these steps. One that is refused panics: the test is wrong.
func after(j job.Job, steps ...step) job.Job {
	for _, s := range steps {
		next, _, err := s(j)
		if err != nil {
			panic(err)
		}
		j = next
	}
	return j
}

func escrowed(j job.Job) (job.Job, job.Message, error) { return j.Escrowed(at(1), aitbc.Hash{1}) }
func cancelled(j job.Job) (job.Job, job.Message, error) {
	return j.Cancelled(at(4))
}

func leased(j job.Job) (job.Job, job.Message, error) {
	if j.Excludes(minerA) {
		return j.LeasedTo(at(2), minerB, aitbc.Hash{2})
	}
	return j.LeasedTo(at(2), minerA, aitbc.Hash{2})
}

func started(j job.Job) (job.Job, job.Message, error) { return j.Started(at(3), j.Miner, j.Attempt) }

func streamLost(j job.Job) (job.Job, job.Message, error) {
	return j.Lost()
}

func accepted(j job.Job) (job.Job, job.Message, error) {
	return j.Accepted(job.Completion{Statement: aitbc.Statement{Attempt: j.Attempt}, MeteredUS: 1, OperatorUS: 2, At: at(5)})
}

func failed(j job.Job) (job.Job, job.Message, error) {
	return j.AttemptFailed(at(5), j.Miner, j.Attempt, lost)
}

func receipt(j job.Job) (job.Job, job.Message, error) {
	return j.Settled(at(6), job.Settlement{Paid: 1, Refunded: j.Order.MaxPrice - 1, Height: 7, HasReceipt: true})
}

func refund(j job.Job) (job.Job, job.Message, error) {
	return j.Settled(at(6), job.Settlement{Refunded: j.Order.MaxPrice, Height: 7, RefundFinalAt: at(36)})
}
