package settlement

import (
	"context"
	"log/slog"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/obs"
)

const (
	// freePage is how many messages are settled at once, and freeLook how often the outbox is looked
	// at without a signal: nothing gets there but what a program with a ledger has left.
	freePage = 500
	freeLook = time.Second
)

// Free is the Settlement of a fleet without a ledger: nothing costs anything, so every message has its
// outcome at the moment when it would be owed, in the same transaction.
type Free struct {
	outbox Outbox
	sink   Sink
	log    *slog.Logger
	notify chan struct{} // capacity 1
}

var _ Settlement = (*Free)(nil)

// NewFree gives a settlement that Run sets going.
func NewFree(outbox Outbox, sink Sink, log *slog.Logger) *Free {
	return &Free{outbox: outbox, sink: sink, log: log, notify: make(chan struct{}, 1)}
}

// Decide implements Settlement.
func (*Free) Decide(id aitbc.JobID, kind job.Message) (job.Outcome, bool) {
	return job.Outcome{JobID: id, Kind: kind, Free: true}, true
}

// Notify implements Settlement.
func (f *Free) Notify() { signal(f.notify) }

// Run implements Settlement.
func (f *Free) Run(ctx context.Context) error {
	tick := time.NewTicker(freeLook)
	defer tick.Stop()
	for {
		if err := f.drain(ctx); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "outcomes wait", obs.KeyError, err)
		}
		select {
		case <-f.notify:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// drain settles what is owed. An outcome that is not taken holds up no other.
func (f *Free) drain(ctx context.Context) error {
	var after int64
	for {
		page, err := f.outbox.Outbox(ctx, after, freePage)
		if err != nil || len(page) == 0 {
			return err
		}
		outcomes := make([]job.Outcome, len(page))
		for i, owed := range page {
			outcomes[i], _ = f.Decide(owed.Job.ID, owed.Kind)
			after = owed.Seq
		}
		if err := f.sink.Settle(ctx, outcomes); err == nil {
			continue
		}
		for i := range outcomes {
			if err := f.sink.Settle(ctx, outcomes[i:i+1]); err != nil && ctx.Err() == nil {
				f.log.ErrorContext(ctx, "an outcome is not taken, its message stays owed and is tried again",
					obs.KeyJobID, outcomes[i].JobID.String(), "kind", string(outcomes[i].Kind), obs.KeyError, err)
			}
		}
	}
}
