package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	minerv1 "github.com/aitbc/aitbc/gen/go/aitbc/miner/v1"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
)

// drain is the owner's wish that the miner leaves.
type drain struct {
	once  sync.Once
	asked chan struct{}
}

// DrainMiner implements the contract.
func (s *service) DrainMiner(context.Context, *minerv1.DrainMinerRequest) (*minerv1.DrainMinerResponse, error) {
	s.drain.once.Do(func() { close(s.drain.asked) })
	return &minerv1.DrainMinerResponse{Running: int32(len(s.work.Status().Running))}, nil
}

const (
	defaultLastJobs = 20
	maxLastJobs     = 1000
)

// GetEarnings implements the contract.
func (s *service) GetEarnings(_ context.Context, r *minerv1.GetEarningsRequest) (*minerv1.GetEarningsResponse, error) {
	earnings, err := s.work.Earnings()
	if err != nil {
		return nil, fmt.Errorf("read earnings: %w", err)
	}
	last := int(r.GetLastJobs())
	if last == 0 {
		last = defaultLastJobs
	}
	response := &minerv1.GetEarningsResponse{}
	var total, day aitbc.Amount
	for i, e := range earnings {
		total += e.Amount
		if i < min(last, maxLastJobs) {
			response.LastJobs = append(response.LastJobs, &minerv1.JobEarnings{
				JobId: e.JobID.String(), Model: e.Model, LeasedAt: timestamppb.New(e.LeasedAt),
				ComputeTime: e.Metered.Seconds(), Earned: e.Amount.String(),
			})
		}
		row := dayOf(response, e)
		if row.GetJobs() == 0 {
			day = 0
		}
		day += e.Amount
		row.Jobs++
		row.ComputeTime += e.Metered.Seconds()
		row.OutputTokens += e.OutputTokens
		row.Earned = day.String()
	}
	response.Total = total.String()
	return response, nil
}

// dayOf gives the row of an earning's day, which is the last one: they come in their order.
func dayOf(r *minerv1.GetEarningsResponse, e attempt.Earning) *minerv1.DayEarnings {
	day := e.LeasedAt.UTC().Format(time.DateOnly)
	if n := len(r.GetDays()); n > 0 && r.GetDays()[n-1].GetDay() == day {
		return r.GetDays()[n-1]
	}
	r.Days = append(r.Days, &minerv1.DayEarnings{Day: day})
	return r.GetDays()[len(r.GetDays())-1]
}
