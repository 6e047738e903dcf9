package aitbc

import (
	"context"
	"encoding/json"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// QuoteRequest is what would be asked for, as far as it decides price and place.
type QuoteRequest struct {
	// Model is the model's name; without a tag, ":latest". ModelDigest pins it; zero: any.
	Model       string
	ModelDigest Hash
	// MaxPrice and Timeouts are those of [SubmitRequest].
	MaxPrice Amount
	// Priority is which of the jobs that wait for the model go first.
	Priority Priority
	Timeouts Timeouts
}

// Quote is how a job would fare if it were submitted now. It promises nothing.
type Quote struct {
	// Possible says whether it would be taken, and a miner could run it; else Reason and Message say
	// why not.
	Possible bool
	Reason   Reason
	Message  string
	// MaxPrice is what would be held in escrow: the most the job could cost.
	MaxPrice Amount
	// PricePerSecond is the price of a compute second, ExecutionLimit how long an attempt could run.
	PricePerSecond Amount
	ExecutionLimit time.Duration
	// EstimatedCost is what answers of the model have cost of late; zero: none was seen.
	EstimatedCost Amount
	// Position is its place among the jobs that wait, from 1; EstimatedWait is how long that takes,
	// zero: not known.
	Position      int
	EstimatedWait time.Duration
	// EligibleMiners is how many connected miners could run it.
	EligibleMiners int
	// Available is what the account could spend on it.
	Available Amount
}

// Quote says what a job would cost at most, how long it would wait, and whether it is possible.
func (c *Client) Quote(ctx context.Context, req QuoteRequest) (*Quote, error) {
	m := &coordinatorv1.QuoteJobRequest{Model: req.Model, Timeouts: req.Timeouts.message(), MaxPrice: coinText(req.MaxPrice)}
	if req.Priority != PriorityNormal {
		m.Priority = req.Priority.String()
	}
	if !req.ModelDigest.IsZero() {
		m.ModelDigest = req.ModelDigest.String()
	}
	answer, err := c.jobs.QuoteJob(ctx, m)
	if err != nil {
		return nil, err
	}
	q := answer.GetQuote()
	var f fieldReader
	return &Quote{
		Possible: q.GetPossible(), Reason: Reason(q.GetReason()), Message: q.GetMessage(),
		MaxPrice:       f.amount("max_price", q.GetMaxPrice()),
		PricePerSecond: f.amount("price_per_second", q.GetPricePerSecond()),
		ExecutionLimit: q.GetExecutionLimit().AsDuration(),
		EstimatedCost:  f.amount("estimated_cost", q.GetEstimatedCost()),
		Position:       int(q.GetQueue().GetPosition()),
		EstimatedWait:  q.GetQueue().GetEstimatedWait().AsDuration(),
		EligibleMiners: int(q.GetEligibleMiners()),
		Available:      f.amount("available", q.GetAvailable()),
	}, f.err()
}

// MarshalJSON gives the contract's JSON, with spans in seconds.
func (q Quote) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Possible       bool    `json:"possible"`
		Reason         Reason  `json:"reason,omitempty"`
		Message        string  `json:"message,omitempty"`
		MaxPrice       Amount  `json:"max_price"`
		PricePerSecond Amount  `json:"price_per_second"`
		ExecutionLimit float64 `json:"execution_limit_seconds"`
		EstimatedCost  Amount  `json:"estimated_cost,omitzero"`
		Position       int     `json:"position"`
		EstimatedWait  float64 `json:"estimated_wait_seconds,omitzero"`
		EligibleMiners int     `json:"eligible_miners"`
		Available      Amount  `json:"available"`
	}{
		q.Possible, q.Reason, q.Message, q.MaxPrice, q.PricePerSecond, q.ExecutionLimit.Seconds(), q.EstimatedCost,
		q.Position, q.EstimatedWait.Seconds(), q.EligibleMiners, q.Available,
	})
}
