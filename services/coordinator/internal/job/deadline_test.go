package job_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

func TestDeadlines(t *testing.T) {
	t.Parallel()
	queued := after(newJob(), escrowed) // queued at second 1, leased at 2, started at 3
	running := after(queued, leased, started)
	clientLimit := func(j job.Job) (job.Job, job.Message, error) {
		j.ClientLimit, j.Order.ExecutionLimitUS = true, (20 * time.Second).Microseconds()
		return j, job.None, nil
	}
	short := func(j job.Job) (job.Job, job.Message, error) {
		j.Order.ExecutionLimitUS = (20 * time.Second).Microseconds()
		return j, job.None, nil
	}
	for _, c := range []struct {
		name   string
		job    job.Job
		due    time.Time
		then   string
		reason string
	}{
		{"nobody took it", queued, at(61), "settling/failed", "QUEUE_TIMEOUT"},
		{"nobody else took it: the cause of its attempt counts", after(running, failed), at(65), "settling/failed", "MINER_LOST"},
		{"it waited until the total timeout", after(queued, func(j job.Job) (job.Job, job.Message, error) {
			j.QueueTimeout = time.Hour
			return j, job.None, nil
		}), at(360), "settling/failed", "TOTAL_TIMEOUT"},
		{"it never started: its lease expires", after(queued, short, leased), at(2 + 20 + 60), "queued", "MINER_LOST"},
		{"it never started, and the client set the limit: no fault of the client's", after(queued, clientLimit, leased), at(2 + 20 + 60), "queued", "MINER_LOST"},
		{"it runs at the default limit", after(queued, short, leased, started), at(3 + 20), "queued", "EXECUTION_LIMIT"},
		{"it runs at the client's limit", after(queued, clientLimit, leased, started), at(3 + 20), "running/cancelled", "EXECUTION_LIMIT"},
		{"its miner's stream is gone at the limit", after(queued, short, leased, started, streamLost), at(3 + 20), "queued", "EXECUTION_LIMIT"},
		{"it runs at the total timeout", after(running, func(j job.Job) (job.Job, job.Message, error) {
			j.TotalTimeout = 100 * time.Second
			return j, job.None, nil
		}), at(100), "settling/failed", "TOTAL_TIMEOUT"},
		{"told to stop, and no statement came", after(running, cancelled), at(4 + 5), "settling/cancelled", "CANCELLED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.due, c.job.Deadline())
			next, _, err := c.job.Expired(c.due)
			require.NoError(t, err)
			require.Equal(t, c.then, describe(next))
			require.Equal(t, "ERROR_REASON_"+c.reason, next.Failure.Reason.String())
		})
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	stopped := func(j job.Job) (job.Job, job.Message, error) {
		return j.Accepted(job.Completion{Statement: aitbc.Statement{Attempt: j.Attempt, Stopped: true}})
	}
	running := after(newJob(), escrowed, leased, started)
	limited := running
	limited.ClientLimit = true

	_, _, err := stopped(running)
	require.ErrorIs(t, err, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED, ""), "nobody stopped it")
	require.Equal(t, "settling/cancelled", describe(after(limited, stopped)))
	require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT, after(limited, stopped).Failure.Reason)
	require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED, after(running, cancelled, stopped).Failure.Reason)

	_, _, err = running.Accepted(job.Completion{Statement: aitbc.Statement{Attempt: 2}})
	require.ErrorIs(t, err, job.ErrLeaseNotHeld, "another attempt")
	again := after(running, failed, leased)
	_, _, err = again.Accepted(job.Completion{Statement: aitbc.Statement{Attempt: 1}})
	require.ErrorIs(t, err, job.ErrLeaseNotHeld, "an old attempt's result comes late")
	_, _, err = again.Started(at(9), minerA, 1)
	require.ErrorIs(t, err, job.ErrLeaseNotHeld, "the miner before says it started")
	require.Zero(t, again.Failure, "what the attempt before died of is not the job's fate")
}

func TestApplyTakesTheStepOfAnOutcome(t *testing.T) {
	t.Parallel()
	settlement := &job.Settlement{Refunded: 6_000_000, Height: 3}
	refused := job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS}
	queued := after(newJob(), escrowed)
	for _, c := range []struct {
		name    string
		job     job.Job
		outcome job.Outcome
		then    string
	}{
		{"the escrow is there", newJob(), job.Outcome{Kind: job.SubmitJob, EscrowTx: aitbc.Hash{1}}, "queued"},
		{"the escrow is refused", newJob(), job.Outcome{Kind: job.SubmitJob, Refused: refused}, "done/failed"},
		{"the escrow came and went", newJob(), job.Outcome{Kind: job.SubmitJob, Settlement: settlement}, "done/failed"},
		{"the escrow's answer comes again", queued, job.Outcome{Kind: job.SubmitJob, EscrowTx: aitbc.Hash{1}}, "queued"},
		{"a refusal comes when it is there", queued, job.Outcome{Kind: job.SubmitJob, Refused: refused}, "queued"},
		{"the refund is there", after(queued, cancelled), job.Outcome{Kind: job.RefundJob, Settlement: settlement}, "done/cancelled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			next, _, err := c.job.Apply(at(9), c.outcome)
			require.NoError(t, err)
			require.Equal(t, c.then, describe(next))
		})
	}
	_, _, err := queued.Apply(at(9), job.Outcome{Kind: job.RecordReceipt})
	require.ErrorIs(t, err, job.ErrWrongState)
}
