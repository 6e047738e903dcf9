package api

import (
	"context"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

type networkServer struct {
	coordinatorv1.UnimplementedNetworkServiceServer
	deps Deps
}

// GetAccount implements NetworkService.
func (s *networkServer) GetAccount(ctx context.Context, _ *coordinatorv1.GetAccountRequest) (*coordinatorv1.GetAccountResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	terms, err := s.deps.Ledger.Terms(ctx)
	if err != nil {
		return nil, err
	}
	funds, err := s.deps.Ledger.Funds(ctx, who.Account)
	if err != nil {
		return nil, err
	}
	escrowed, waiting, err := s.deps.Reader.Escrows(ctx, who.Account)
	if err != nil {
		return nil, fmt.Errorf("sum the escrows of %s: %w", who.Account, err)
	}
	available := max(0, min(funds.Balance, funds.Allowance)-waiting)
	return &coordinatorv1.GetAccountResponse{Account: &coordinatorv1.Account{
		AccountId:      who.Account.String(),
		Balance:        funds.Balance.String(),
		Escrowed:       (escrowed + waiting).String(),
		Allowance:      funds.Allowance.String(),
		Available:      available.String(),
		ChainId:        s.deps.ChainID,
		OperatorId:     aitbc.AccountOf(s.deps.Operator).String(),
		LedgerTime:     stamp(terms.Now),
		PricePerSecond: terms.Price.String(),
	}}, nil
}

// ListMiners implements NetworkService.
func (s *networkServer) ListMiners(_ context.Context, r *coordinatorv1.ListMinersRequest) (*coordinatorv1.ListMinersResponse, error) {
	byID := func(m dispatch.MinerView) string { return string(m.ID[:]) }
	part, next, err := page(s.deps.Network.Miners(), byID, "miners", r.GetPageToken(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	response := &coordinatorv1.ListMinersResponse{NextPageToken: next}
	for _, m := range part {
		response.Miners = append(response.Miners, MinerMessage(m))
	}
	return response, nil
}

// ListModels implements NetworkService.
func (s *networkServer) ListModels(_ context.Context, r *coordinatorv1.ListModelsRequest) (*coordinatorv1.ListModelsResponse, error) {
	byName := func(m dispatch.ModelView) string { return m.Name }
	part, next, err := page(s.deps.Network.Models(), byName, "models", r.GetPageToken(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	response := &coordinatorv1.ListModelsResponse{Object: "list", NextPageToken: next}
	for _, m := range part {
		response.Data = append(response.Data, modelMessage(m))
	}
	return response, nil
}

// GetModel implements NetworkService.
func (s *networkServer) GetModel(_ context.Context, r *coordinatorv1.GetModelRequest) (*coordinatorv1.GetModelResponse, error) {
	name := dispatch.FullName(r.GetModel())
	for _, m := range s.deps.Network.Models() {
		if m.Name == name {
			return &coordinatorv1.GetModelResponse{Model: modelMessage(m)}, nil
		}
	}
	return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND,
		"no connected miner has the model %s", name).With("model", name)
}

// MinerMessage is a miner as everybody sees it.
func MinerMessage(m dispatch.MinerView) *coordinatorv1.Miner {
	return &coordinatorv1.Miner{
		MinerId:     m.ID.String(),
		Status:      m.Status,
		Stake:       m.Stake.String(),
		Reputation:  m.Standing.Reputation,
		Slots:       int32(m.State.Slots),
		Running:     int32(m.Standing.Held),
		Engine:      m.State.Engine,
		Models:      m.State.Models,
		Devices:     m.State.Devices,
		ConnectedAt: stamp(m.ConnectedAt),

		PullableModels: m.State.Pullable,
	}
}

func modelMessage(m dispatch.ModelView) *coordinatorv1.Model {
	message := &coordinatorv1.Model{
		Id:      m.Name,
		Object:  "model",
		Created: float64(m.FirstSeen.Unix()),
		OwnedBy: "aitbc",
		Miners:  int32(m.Miners),
	}
	for _, digest := range m.Digests {
		message.Digests = append(message.Digests, digest.String())
	}
	return message
}
