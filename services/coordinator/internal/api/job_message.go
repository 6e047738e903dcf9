package api

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

const microsecondsPerSecond = 1e6

// jobMessage is a job as its client sees it.
func jobMessage(j job.Job, result string) *coordinatorv1.Job {
	message := &coordinatorv1.Job{
		JobId:       j.ID.String(),
		Status:      string(j.Status()),
		Phase:       string(j.Phase),
		Type:        j.Type,
		Model:       j.Model,
		Result:      result,
		SubmittedAt: stamp(j.SubmittedAt),
		StartedAt:   stamp(j.StartedAt),
		CompletedAt: stamp(j.CompletedAt),
		MaxPrice:    j.Order.MaxPrice.String(),
		TxHash:      hexOrEmpty(j.EscrowTx),
		Attempts:    int32(j.Attempts()),
		MinerId:     accountOrEmpty(j.Miner),
		ModelDigest: hexOrEmpty(j.ModelDigest),
		Metrics:     metricsMessage(j.Completion),
		Error:       errorMessage(j),
	}
	if j.Priority != aitbc.PriorityNormal {
		message.Priority = j.Priority.String()
	}
	if j.Phase == job.Done {
		message.Cost = aitbc.Amount(0).String() // an escrow that was refused has no settlement
	}
	if c := j.Completion; c != nil {
		metered := time.Duration(c.MeteredUS) * time.Microsecond
		message.Billed = aitbc.Price(metered, j.Order.Price, j.Order.MaxPrice).String()
	}
	if s := j.Settlement; s != nil {
		message.Cost = s.Paid.String()
		message.Refund = refundMessage(s)
		if s.HasReceipt {
			message.ReceiptId = j.ID.ReceiptID()
		}
	}
	return plantInJob(message)
}

func metricsMessage(c *job.Completion) *coordinatorv1.JobMetrics {
	if c == nil {
		return nil
	}
	return &coordinatorv1.JobMetrics{
		ComputeTime:     float64(c.Statement.ComputeUS) / microsecondsPerSecond,
		TokensGenerated: int32(c.Statement.OutputTokens),
		PromptTokens:    int32(c.Statement.PromptTokens),
		FinishReason:    c.FinishReason,
		GpuUtilization:  c.GPUUtilization,
	}
}

// errorMessage is shown as soon as the job is heading for its end. A waiting job keeps the failure
// of its last attempt, which is no failure of its own yet.
func errorMessage(j job.Job) *coordinatorv1.JobError {
	if j.Failure.IsZero() || (j.Outcome != job.StatusFailed && j.Outcome != job.StatusCancelled) {
		return nil
	}
	return &coordinatorv1.JobError{Reason: apierr.Word(j.Failure.Reason), Message: j.Failure.Message}
}

func refundMessage(s *job.Settlement) *coordinatorv1.JobRefund {
	if s.Refunded == 0 {
		return nil
	}
	return &coordinatorv1.JobRefund{
		Amount:  s.Refunded.String(),
		TxHash:  hexOrEmpty(s.TxHash),
		FinalAt: stamp(s.RefundFinalAt),
	}
}
