package aitbctest

import (
	"context"

	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// ExplainJob tells what is known of a job: where it is, and where its money went.
func (s jobService) ExplainJob(_ context.Context, r *coordinatorv1.ExplainJobRequest) (*coordinatorv1.ExplainJobResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	e, err := s.book.find(r.GetJobId())
	if err != nil {
		return nil, err
	}
	j := e.job
	x := &coordinatorv1.JobExplanation{
		JobId: j.GetJobId(), Status: j.GetStatus(), Phase: j.GetPhase(), Summary: "It is " + j.GetStatus() + ".",
		Steps: []*coordinatorv1.JobStep{{At: j.GetSubmittedAt(), Phase: "queued"}},
		Money: &coordinatorv1.JobMoney{
			Escrowed: j.GetMaxPrice(), EscrowTx: j.GetTxHash(), PricePerSecond: price.String(), Paid: j.GetCost(), Refunded: j.GetRefund().GetAmount(),
		},
	}
	if j.GetStartedAt() != nil {
		x.Steps = append(x.Steps, &coordinatorv1.JobStep{At: j.GetStartedAt(), Phase: "running", Attempt: j.GetAttempts(), MinerId: j.GetMinerId()})
	}
	if j.GetCompletedAt() != nil {
		x.Steps = append(x.Steps, &coordinatorv1.JobStep{
			At: j.GetCompletedAt(), Phase: "done", Outcome: j.GetStatus(), Attempt: j.GetAttempts(), MinerId: j.GetMinerId(),
			Reason: j.GetError().GetReason(), Message: j.GetError().GetMessage(),
		})
	}
	return &coordinatorv1.ExplainJobResponse{Explanation: x}, nil
}

// ExplainMiner tells of the one miner.
func (s networkService) ExplainMiner(_ context.Context, r *coordinatorv1.ExplainMinerRequest) (*coordinatorv1.ExplainMinerResponse, error) {
	if r.GetMinerId() != s.book.parties.miner.account.String() {
		return nil, refusal(aitbc.ReasonMinerNotFound, codes.NotFound, "no miner "+r.GetMinerId())
	}
	return &coordinatorv1.ExplainMinerResponse{Explanation: &coordinatorv1.MinerExplanation{
		MinerId: r.GetMinerId(), Status: "connected", Summary: "It takes jobs.", Reputation: 1,
	}}, nil
}
