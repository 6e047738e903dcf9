package replica

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	aitbc "github.com/aitbc/aitbc/clients/go"
	replicav1 "github.com/aitbc/aitbc/gen/go/aitbc/replica/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// server answers other replicas.
type server struct {
	replicav1.UnimplementedReplicaServiceServer
	member *Member
}

// Register puts the service for other replicas on a server.
func (m *Member) Register(on grpc.ServiceRegistrar) {
	replicav1.RegisterReplicaServiceServer(on, &server{member: m})
}

// Settle implements ReplicaService.
func (s *server) Settle(ctx context.Context, r *replicav1.SettleRequest) (*replicav1.SettleResponse, error) {
	outcomes := make([]job.Outcome, len(r.GetOutcomes()))
	for i, message := range r.GetOutcomes() {
		var err error
		if outcomes[i], err = outcomeOf(message); err != nil {
			return nil, apierr.InvalidField(fmt.Sprintf("outcomes[%d]", i), "is malformed").WithCause(err)
		}
	}
	if err := s.member.jobs.Settle(ctx, outcomes); err != nil {
		return nil, err
	}
	return &replicav1.SettleResponse{}, nil
}

// Notify implements ReplicaService.
func (s *server) Notify(ctx context.Context, r *replicav1.NotifyRequest) (*replicav1.NotifyResponse, error) {
	if r.GetOwed() {
		s.member.settlement.Notify()
	}
	if r.GetWaiting() {
		select {
		case s.member.poke <- struct{}{}:
		default: // it will look anyway
		}
	}
	var taken []aitbc.JobID
	for i, id := range r.GetTaken() {
		if len(id) != len(aitbc.JobID{}) {
			return nil, apierr.InvalidField(fmt.Sprintf("taken[%d]", i), "is no job id")
		}
		taken = append(taken, aitbc.JobID(id))
	}
	if err := s.member.jobs.Lost(ctx, taken); err != nil {
		return nil, err
	}
	return &replicav1.NotifyResponse{}, nil
}

// ListMiners implements ReplicaService.
func (s *server) ListMiners(context.Context, *replicav1.ListMinersRequest) (*replicav1.ListMinersResponse, error) {
	answer := &replicav1.ListMinersResponse{}
	for _, view := range s.member.jobs.Miners() {
		answer.Miners = append(answer.Miners, api.MinerMessage(view))
	}
	return answer, nil
}
