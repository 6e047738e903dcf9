package store

import (
	"fmt"
	"reflect"
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// AsStored gives a job as it would come back from its rows, so that a job in memory is one from the
// store.
func AsStored(j job.Job) job.Job {
	j.Order.JobID = j.ID
	for _, b := range []*[]byte{&j.OrderSignature, &j.ClientKey, &j.LeaseSignature} {
		*b = noneIfEmpty(*b)
	}
	if len(j.Excluded) == 0 {
		j.Excluded = nil
	}
	j.SubmittedAt, j.QueuedAt, j.LeasedAt = Moment(j.SubmittedAt), Moment(j.QueuedAt), Moment(j.LeasedAt)
	j.StartedAt, j.StopBy, j.CompletedAt = Moment(j.StartedAt), Moment(j.StopBy), Moment(j.CompletedAt)
	j.QueueTimeout, j.TotalTimeout = j.QueueTimeout.Truncate(time.Microsecond), j.TotalTimeout.Truncate(time.Microsecond)
	if j.Completion != nil {
		c := *j.Completion
		c.Signature, c.MinerKey, c.AcceptanceSignature = noneIfEmpty(c.Signature), noneIfEmpty(c.MinerKey), noneIfEmpty(c.AcceptanceSignature)
		c.At = Moment(c.At)
		j.Completion = &c
	}
	if j.Settlement != nil {
		s := *j.Settlement
		s.BlockTime, s.RefundFinalAt = Moment(s.BlockTime), Moment(s.RefundFinalAt)
		j.Settlement = &s
	}
	return j
}

// Updated gives a job after an update as it would come back: what may change is taken from to, the rest
// stays. Errors: what UpdateJob refuses.
func Updated(from, to job.Job) (job.Job, error) {
	j := from
	j.Shard, j.Phase, j.Outcome, j.Failure = to.Shard, to.Phase, to.Outcome, to.Failure
	j.Attempt, j.Miner, j.ModelDigest = to.Attempt, to.Miner, to.ModelDigest
	j.LeaseIssuedUS, j.LeaseSignature, j.Excluded = to.LeaseIssuedUS, to.LeaseSignature, to.Excluded
	j.QueuedAt, j.LeasedAt, j.StartedAt = to.QueuedAt, to.LeasedAt, to.StartedAt
	j.StopBy, j.CompletedAt, j.EscrowTx = to.StopBy, to.CompletedAt, to.EscrowTx
	if from.Completion == nil {
		j.Completion = to.Completion
	}
	if from.Settlement == nil {
		j.Settlement = to.Settlement
	}
	j = AsStored(j)
	switch {
	case from.Completion != nil && to.Completion == nil, from.Settlement != nil && to.Settlement == nil:
		return job.Job{}, fmt.Errorf("what was accepted and settled stays")
	case from.Phase == job.Done && !reflect.DeepEqual(from, j):
		return job.Job{}, fmt.Errorf("a job that is done stays as it is")
	case to.Attempt < from.Attempt:
		return job.Job{}, fmt.Errorf("attempts count up, not from %d to %d", from.Attempt, to.Attempt)
	}
	return j, nil
}

// Moment gives a time as it comes back from a column.
func Moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

func noneIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
