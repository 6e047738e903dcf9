package dispatch

import (
	"context"
	"errors"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// Settle applies what became of messages to the ledger, all in one commit. On an error nothing was
// written, or some jobs are another replica's (ErrElsewhere), and the same outcomes must come again;
// outcomes that come again change nothing.
func (d *Dispatcher) Settle(ctx context.Context, outcomes []job.Outcome) error {
	now := clock()
	changes := make([]*change, len(outcomes))
	for i, o := range outcomes {
		changes[i] = &change{
			id:   o.JobID,
			step: func(j job.Job) (job.Job, job.Message, error) { return j.Apply(now, o) },
			also: func(tx store.Tx) error { return tx.Paid(o.JobID, o.Kind) },
		}
	}
	if err := d.commit(ctx, changes...); err != nil {
		return err
	}
	var elsewhere error
	for i, c := range changes {
		if errors.Is(c.refused, ErrElsewhere) {
			elsewhere = c.refused
			continue
		}
		if c.refused != nil { // it stays in the outbox: a fault of ours, and a human must look
			d.deps.Log.ErrorContext(ctx, "an outcome does not fit its job", obs.KeyJobID, c.id.String(),
				"kind", string(outcomes[i].Kind), obs.KeyError, c.refused)
		}
	}
	return elsewhere
}
