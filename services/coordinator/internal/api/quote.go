package api

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// QuoteJob implements JobService.
func (s *jobServer) QuoteJob(ctx context.Context, r *coordinatorv1.QuoteJobRequest) (*coordinatorv1.QuoteJobResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	// What is asked does not decide the price, but there must be something.
	request, err := submitRequest(who, &coordinatorv1.SubmitJobRequest{
		Type: aitbc.TypeInference, Prompt: "?", Model: r.GetModel(), ModelDigest: r.GetModelDigest(),
		MaxPrice: r.GetMaxPrice(), Timeouts: r.GetTimeouts(), Priority: r.GetPriority(),
	})
	if err != nil {
		return nil, err
	}
	q, err := s.deps.Jobs.Quote(ctx, request)
	if err != nil {
		return nil, err
	}
	quote := &coordinatorv1.Quote{
		Possible:       q.Refusal == nil,
		MaxPrice:       q.Order.MaxPrice.String(),
		PricePerSecond: q.Order.Price.String(),
		ExecutionLimit: durationpb.New(time.Duration(q.Order.ExecutionLimitUS) * time.Microsecond),
		Queue:          queueMessage(q.Place, true),
		EligibleMiners: int32(q.Eligible),
		Available:      q.Available.String(),
	}
	if q.Usual > 0 {
		quote.EstimatedCost = q.Usual.String()
	}
	if q.Refusal != nil {
		quote.Reason, quote.Message = apierr.Word(q.Refusal.Why), q.Refusal.Message
	}
	return &coordinatorv1.QuoteJobResponse{Quote: quote}, nil
}
