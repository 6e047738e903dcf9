package settlement

import (
	"context"
	"fmt"
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// together is how often outcomes are handed over all at once before each goes alone.
const together = 3

// hand gives outcomes to the sink. One that the sink never takes must not hold up others: after a
// few failures each goes alone, and the messages of those that fail alone are given back, to be
// tried again later. Errors: the context's.
func (c *Chain) hand(ctx context.Context, rulings []ruling) (refused []*entry, err error) {
	if len(rulings) == 0 {
		return nil, nil
	}
	for failures := range together {
		err := c.deliver(ctx, rulings)
		if err == nil {
			return nil, nil
		}
		c.deps.Log.WarnContext(ctx, "outcomes were not taken, trying again", "outcomes", len(rulings), obs.KeyError, err)
		if err := pause(ctx, backoff(failures, longestPause)); err != nil {
			return nil, err
		}
	}
	for i, r := range rulings {
		err := c.deliver(ctx, rulings[i:i+1])
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("hand over an outcome: %w", err)
		}
		c.metrics.refused.WithLabelValues(string(r.entry.key.kind)).Inc()
		c.deps.Log.ErrorContext(ctx, "an outcome is not taken, its message stays owed and is tried again",
			obs.KeyJobID, r.entry.key.job.String(), "kind", string(r.entry.key.kind), obs.KeyError, err)
		refused = append(refused, r.entry)
	}
	return refused, nil
}

// deliver hands outcomes over, all or none.
func (c *Chain) deliver(ctx context.Context, rulings []ruling) error {
	outcomes := make([]job.Outcome, len(rulings))
	entries := make([]*entry, len(rulings))
	for i, r := range rulings {
		outcomes[i], entries[i] = r.outcome, r.entry
	}
	if err := c.deps.Sink.Settle(ctx, outcomes); err != nil {
		return err
	}
	c.mirror.settled(entries)
	c.metrics.settled(outcomes)
	return nil
}

// pause waits. Errors: the context's.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("hand over outcomes: %w", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}
