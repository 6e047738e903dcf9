package dispatch

import (
	"context"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// Quote is how a job would fare if it were submitted now.
type Quote struct {
	// Order has the price, the price limit and the execution limit that the job would have.
	Order aitbc.Order
	// Refusal is why the job is not possible; nil: it is.
	Refusal *job.Error
	// Usual is what answers of the model have cost of late, up to the price limit; 0: none was seen.
	Usual aitbc.Amount
	// Place is where the job would stand; Eligible is how many miners here could run it, be it later.
	Place    scheduler.Place
	Eligible int
	// Available is what the account could spend on it.
	Available aitbc.Amount
}

// Quote says how a job would fare. It holds nothing. Errors: INVALID_FIELD, LEDGER_UNAVAILABLE.
func (d *Dispatcher) Quote(ctx context.Context, r SubmitRequest) (Quote, error) {
	r.Model = FullName(r.Model)
	j, _, err := d.draft(ctx, r)
	if err != nil {
		return Quote{}, err
	}
	funds, err := d.deps.Ledger.Funds(ctx, r.Client)
	if err != nil {
		return Quote{}, err
	}
	now := clock()
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting := d.waiting[r.Client]
	q := Quote{
		Order: j.Order, Place: d.nextPlace(now, laneOf(&j)),
		Available: max(0, min(funds.Balance, funds.Allowance)-waiting),
	}
	if usual := d.usual[j.Model]; usual > 0 {
		q.Usual = aitbc.Price(usual, j.Order.Price, j.Order.MaxPrice)
	}
	for _, f := range d.scheduler.Explain(now, (&entry{job: j}).schedulable()) {
		if f.Passing() {
			q.Eligible++
		}
	}
	q.Refusal = d.refusal(j, funds, waiting, q.Eligible)
	return q, nil
}

// refusal says why a job is not possible; nil: it is.
func (d *Dispatcher) refusal(j job.Job, funds Funds, waiting aitbc.Amount, eligible int) *job.Error {
	refused := d.checkModel(j.Model, j.PinnedDigest)
	if refused == nil {
		refused = covers(funds, j, waiting)
	}
	switch {
	case refused != nil:
		return refused
	case len(d.live) >= d.config.MaxLive:
		return job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "%d jobs are under way, which is the most: come back later", len(d.live))
	case eligible == 0 && len(d.others.Models[j.Model]) == 0 && !d.mayPull(j.Model):
		return job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_QUEUE_TIMEOUT,
			"no miner that is here could run it: it would wait for %s, and then be refunded", j.QueueTimeout)
	}
	return nil
}

// usualWeight is how much a new answer counts in what answers usually take: one in so many.
const usualWeight = 8

// learnUsual learns from an answer how long one of its model takes.
func (d *Dispatcher) learnUsual(model string, metered time.Duration) {
	if before, ok := d.usual[model]; ok {
		metered = before + (metered-before)/usualWeight
	}
	d.usual[model] = metered
}
