package settlement

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/internal/obs"
)

const (
	// settleTick is how often flights are looked at without a new block.
	settleTick = time.Second
	// lookups bounds the questions about single jobs that are under way at once.
	lookups = 8
	// firstRetry is how long a message that got no verdict waits; the wait doubles each time.
	firstRetry = time.Second
)

// ruling is a message with its outcome.
type ruling struct {
	entry   *entry
	outcome job.Outcome
}

// settle is the settler's loop: it looks at what is in flight after each block.
func (c *Chain) settle(ctx context.Context) error {
	tick := time.NewTicker(settleTick)
	defer tick.Stop()
	failing := false
	for ctx.Err() == nil {
		_, changed := c.deps.Ledger.Watch() // before looking, so that no block falls between
		err := c.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			c.deps.Log.WarnContext(ctx, "outcomes wait", obs.KeyError, ledger.Detail(err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-changed:
		case <-c.decided:
		case <-tick.C:
		}
	}
	return nil
}

// look goes through the transactions in flight once. Errors: the ledger does not answer.
func (c *Chain) look(ctx context.Context) error {
	for _, f := range c.mirror.sky() {
		if err := c.visit(ctx, f); err != nil {
			return err
		}
	}
	c.metrics.watch(c.mirror)
	return nil
}

func (c *Chain) visit(ctx context.Context, f sighting) error {
	if f.refused != nil {
		head, _ := c.deps.Ledger.Watch()
		c.metrics.transactions.WithLabelValues("refused").Inc()
		return c.resolve(ctx, f.flight, f.refused, block{now: head.LedgerTime})
	}
	answer, err := c.deps.Ledger.Transaction(ctx, f.hash)
	if err != nil {
		return fmt.Errorf("look up transaction %s: %w", f.hash, err)
	}
	clock := time.UnixMicro(answer.GetLedgerTimeUs()).UTC()
	switch {
	case answer.GetFound() && answer.GetCode() != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED:
		c.metrics.transactions.WithLabelValues("refused").Inc()
		c.deps.Log.WarnContext(ctx, "transaction refused in its block, its messages travel in another",
			obs.KeyTxHash, f.hash.String(), obs.KeyHeight, answer.GetHeight(), obs.KeyCode, answer.GetCode().String())
		f.loosen() // nothing of it was looked at, so anybody may still have its bytes admitted
		c.retry(f.flight)
	case answer.GetFound():
		c.report(ctx, f.flight, answer)
		head, _ := c.deps.Ledger.Watch()
		return c.resolve(ctx, f.flight, answer.GetResults(), newBlock(f.hash, answer, head))
	case clock.After(f.expires):
		c.metrics.transactions.WithLabelValues("expired").Inc()
		c.retry(f.flight)
	case !time.Now().Before(f.again):
		c.deps.Log.InfoContext(ctx, "transaction sent again", obs.KeyTxHash, f.hash.String())
		return c.broadcast(ctx, f.flight)
	}
	return nil
}

// retry ends a flight that decided nothing.
func (c *Chain) retry(f *flight) {
	c.mirror.land(f)
	c.mirror.giveBack(f.entries)
	c.Notify()
}

func (c *Chain) report(ctx context.Context, f *flight, answer *ledgerv1.GetTransactionResponse) {
	refused := 0
	for _, r := range answer.GetResults() {
		if r.GetCode() != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			refused++
		}
	}
	c.metrics.transactions.WithLabelValues("committed").Inc()
	c.deps.Log.LogAttrs(ctx, slog.LevelInfo, "transaction committed",
		slog.String(obs.KeyTxHash, f.hash.String()), slog.Int64(obs.KeyHeight, answer.GetHeight()),
		slog.Int("messages", len(f.entries)), slog.Int("not_applied", refused))
}

// resolve ends a flight: it turns its messages' results into outcomes, hands them over and parks
// what is still undecided.
func (c *Chain) resolve(ctx context.Context, f *flight, results []*ledgerv1.MessageResult, at block) error {
	if len(results) != len(f.entries) {
		c.retry(f) // whatever was applied is found when they are sent again
		return fmt.Errorf("transaction %s has %d results for %d messages", f.hash, len(results), len(f.entries))
	}
	rulings := make([]ruling, 0, len(f.entries))
	var open, undecided []*entry
	for i, e := range f.entries {
		outcome, what := judge(e, results[i], at, c.refundWindow())
		switch what {
		case finish:
			rulings = append(rulings, ruling{e, outcome})
		case doubt:
			if c.poor(ctx, e.job) {
				rulings = append(rulings, ruling{e, outcome})
			} else {
				undecided = append(undecided, e)
			}
		case look:
			open = append(open, e)
		case alarm:
			c.deps.Log.ErrorContext(ctx, "the ledger refuses a message, tried again until the escrow's deadline",
				obs.KeyJobID, e.key.job.String(), "kind", string(e.key.kind), obs.KeyCode, results[i].GetCode().String(),
				"detail", results[i].GetDetail())
			undecided = append(undecided, e)
		case later:
			undecided = append(undecided, e)
		}
	}
	found, waiting := c.ask(ctx, open)
	crash.At("coordinator/settle/before")
	refused, err := c.hand(ctx, append(rulings, found...))
	crash.At("coordinator/settle/after")
	if err != nil {
		return err // the flight stays: the same is read again
	}
	c.mirror.land(f)
	for _, e := range slices.Concat(undecided, waiting, refused) {
		c.park(e)
	}
	c.Notify() // there is room again, and an outcome may owe something new
	return nil
}

// poor reports whether the last block, too, says that a job's client cannot pay.
func (c *Chain) poor(ctx context.Context, j job.Job) bool {
	covered, err := c.deps.Funds.Covers(ctx, j)
	return err == nil && !covered
}

func (c *Chain) refundWindow() time.Duration {
	head, _ := c.deps.Ledger.Watch()
	return time.Duration(head.Params.GetRefundWindowUs()) * time.Microsecond
}

// ask looks jobs up on the ledger: those whose message was refused because it, or something that
// excludes it, had happened before. It gives what it learnt and which messages are to wait.
func (c *Chain) ask(ctx context.Context, open []*entry) ([]ruling, []*entry) {
	answers := make([]*ruling, len(open))
	var group errgroup.Group
	group.SetLimit(lookups)
	for i, e := range open {
		group.Go(func() error {
			answer, err := c.deps.Ledger.Job(ctx, e.key.job, c.deps.Operator)
			if err != nil {
				return nil //nolint:nilerr // it is asked again after its next try
			}
			switch outcome, what := judgeJob(e, answer); what {
			case finish:
				if err := c.place(ctx, &outcome); err == nil { // else as above
					answers[i] = &ruling{e, outcome}
				}
			case alarm:
				c.deps.Log.ErrorContext(ctx, "the ledger's history no longer has how a job was settled",
					obs.KeyJobID, e.key.job.String())
			default:
			}
			return nil
		})
	}
	_ = group.Wait() // its functions give no errors
	var found []ruling
	var waiting []*entry
	for i, a := range answers {
		if a == nil {
			waiting = append(waiting, open[i])
			continue
		}
		found = append(found, *a)
	}
	return found, waiting
}

// place fills in the block of a refund that was asked for by an earlier transaction. A history that
// has forgotten the transaction will not remember it: then the refund has no block. Errors: the
// ledger does not answer.
func (c *Chain) place(ctx context.Context, o *job.Outcome) error {
	if o.Settlement == nil || o.Settlement.Height != 0 || o.Settlement.TxHash.IsZero() {
		return nil
	}
	answer, err := c.deps.Ledger.Transaction(ctx, o.Settlement.TxHash)
	if err != nil {
		return fmt.Errorf("look up the refund of %s: %w", o.JobID, err)
	}
	if answer.GetFound() {
		o.Settlement.Height = answer.GetHeight()
		o.Settlement.BlockTime = time.UnixMicro(answer.GetBlockTimeUs()).UTC()
	}
	return nil
}

// park keeps a message for a later try: after a second, then longer and longer.
func (c *Chain) park(e *entry) {
	wait := min(firstRetry<<min(e.tries, 10), c.config.SweepEvery)
	e.tries++
	c.mirror.park(e, time.Now().Add(wait))
}
