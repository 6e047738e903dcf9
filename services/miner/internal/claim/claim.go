// Package claim gets a miner its pay when the operator does not: it sends the receipt itself, with
// the acceptance that the miner holds.
//
//	accepted --operator settles--> settled
//	   |  10 s, or the operator asks for a refund
//	   v
//	claimed: RecordReceipt, signed by the miner --> settled
//
// The ledger decides who was first; a receipt counts once. A refund that the operator asks for has a
// window in which a receipt still wins: so a job is looked at every second, and claimed at once when
// its refund was asked for. What is claimed is on disk (package spool), so a restart begins again.
//
// Start at Claimer.Run.
package claim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

const (
	// callTimeout bounds a question to the ledger, sendTimeout a claim, which waits for its block.
	callTimeout = 5 * time.Second
	sendTimeout = 20 * time.Second
	// maxLooks bounds the jobs that are asked for at a time.
	maxLooks = 64
)

// Config says when to claim. Its zero value is not valid: begin with DefaultConfig.
type Config struct {
	// Patience is how long the operator has to settle an accepted result. Default 10 s.
	Patience time.Duration
	// Every is how often unsettled jobs are looked at: well below any refund window. Default 1 s.
	Every time.Duration
}

// DefaultConfig gives the defaults.
func DefaultConfig() Config { return Config{Patience: 10 * time.Second, Every: time.Second} }

// Records are accepted results.
type Records interface {
	// AcceptedIDs lists the leases whose results were accepted.
	AcceptedIDs() []string
	// Claimable reads one. Errors: spool.ErrNotFound.
	Claimable(leaseID string) (spool.Record, error)
}

// Ledger is what a claimer asks of a node.
type Ledger interface {
	// Job reads a job's open escrow, or how it was settled.
	Job(ctx context.Context, job aitbc.JobID, operator aitbc.AccountID) (*ledgerv1.GetJobResponse, error)
	// Send sends a message of the miner's account and waits for its block.
	Send(ctx context.Context, message *ledgerv1.Message) error
}

// Claimer claims. Its state belongs to Run.
type Claimer struct {
	config  Config
	records Records
	ledger  Ledger
	log     *slog.Logger

	claims map[string]*claim // by lease, of all accepted results
	away   bool              // the ledger did not answer last time
}

// claim is what is known of one accepted result.
type claim struct {
	seen    time.Time // when it was found, or last refused
	settled bool
}

// New makes a claimer.
func New(config Config, records Records, ledger Ledger, log *slog.Logger) *Claimer {
	return &Claimer{config: config, records: records, ledger: ledger, log: log, claims: map[string]*claim{}}
}

// Run claims what is due until ctx ends.
func (c *Claimer) Run(ctx context.Context) error {
	tick := time.NewTicker(c.config.Every)
	defer tick.Stop()
	for {
		c.look(ctx, time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look asks for the accepted results that are not known to be settled.
func (c *Claimer) look(ctx context.Context, now time.Time) {
	known := make(map[string]*claim, len(c.claims))
	looks := 0
	for _, id := range c.records.AcceptedIDs() {
		known[id] = c.claims[id]
		if known[id] == nil {
			known[id] = &claim{seen: now}
		}
		if known[id].settled || looks == maxLooks || ctx.Err() != nil {
			continue
		}
		looks++
		if err := c.settle(ctx, id, known[id], now); err != nil {
			c.report(ctx, id, err)
			looks = maxLooks // the ledger is away: the others wait for the next look
			continue
		}
		c.away = false
	}
	c.claims = known
}

// report says once that the ledger is away.
func (c *Claimer) report(ctx context.Context, id string, err error) {
	if !c.away && ctx.Err() == nil {
		c.log.WarnContext(ctx, "cannot see whether results are paid", "lease_id", id, obs.KeyError, err)
	}
	c.away = true
}

// settle looks at one job and claims it when that is due. Errors: the ledger did not answer.
func (c *Claimer) settle(ctx context.Context, id string, known *claim, now time.Time) error {
	record, err := c.records.Claimable(id)
	if err != nil {
		c.log.ErrorContext(ctx, "cannot read an accepted result", "lease_id", id, obs.KeyError, err)
		known.settled = true
		return nil
	}
	papers, err := read(record)
	if err != nil {
		c.log.ErrorContext(ctx, "cannot claim an accepted result", "lease_id", id, obs.KeyError, err)
		known.settled = true
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	job, err := c.ledger.Job(bounded, papers.lease.JobID, papers.lease.Operator)
	if err != nil {
		return err
	}
	escrow := job.GetEscrow()
	switch {
	case job.GetSettlement() != nil, escrow == nil && job.GetLedgerTimeUs() > papers.order.SettleByUS:
		known.settled = true
		return nil
	case escrow == nil, escrow.GetRefundFinalUs() == 0 && now.Sub(known.seen) < c.config.Patience:
		return nil
	}
	return c.send(ctx, id, known, papers, now)
}

// send claims. A refusal is not the end: the next look sees what became of the job.
func (c *Claimer) send(ctx context.Context, id string, known *claim, p papers, now time.Time) error {
	bounded, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := c.ledger.Send(bounded, &ledgerv1.Message{Message: &ledgerv1.Message_RecordReceipt{RecordReceipt: p.message()}})
	var refused *aitbc.LedgerError
	switch {
	case errors.As(err, &refused):
		c.log.WarnContext(ctx, "the ledger refused our claim", "lease_id", id, obs.KeyError, err)
		known.seen = now
	case err != nil:
		return fmt.Errorf("claim: %w", err)
	default:
		c.log.InfoContext(ctx, "claimed what the operator did not settle", obs.KeyJobID, p.lease.JobID.String(), "lease_id", id,
			"metered_us", p.acceptance.MeteredUS)
	}
	return nil
}
