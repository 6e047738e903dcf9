package aitbctest

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// defaultExecution is a coordinator's limit of an attempt when the client sets none.
const defaultExecution = 300 * time.Second

// QuoteJob says that all is possible that the account can pay for.
func (s jobService) QuoteJob(_ context.Context, r *coordinatorv1.QuoteJobRequest) (*coordinatorv1.QuoteJobResponse, error) {
	s.book.mu.Lock()
	left := s.book.cfg.Balance - s.book.spent
	s.book.mu.Unlock()
	limit := defaultExecution
	if given := r.GetTimeouts().GetExecution(); given != nil {
		limit = given.AsDuration()
	}
	most := aitbc.Price(limit, price, left+1)
	if text := r.GetMaxPrice(); text != "" {
		parsed, err := aitbc.ParseAmount(text)
		if err != nil {
			return nil, statusOf(invalidField("max_price", err.Error()))
		}
		most = parsed
	}
	quote := &coordinatorv1.Quote{
		Possible: most <= left, MaxPrice: most.String(), PricePerSecond: price.String(), ExecutionLimit: durationpb.New(limit),
		Queue: &coordinatorv1.JobQueue{Position: 1}, EligibleMiners: 1, Available: left.String(),
	}
	if !quote.GetPossible() {
		quote.Reason, quote.Message = string(aitbc.ReasonInsufficientFunds), "the account has "+left.String()
	}
	return &coordinatorv1.QuoteJobResponse{Quote: quote}, nil
}
