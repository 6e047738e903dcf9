package aitbctest

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// modelName is the one model that the server lists; it answers for any.
const modelName = "llama3.2:latest"

type networkService struct {
	coordinatorv1.UnimplementedNetworkServiceServer
	book *book
}

// GetAccount shows the one account.
func (s networkService) GetAccount(context.Context, *coordinatorv1.GetAccountRequest) (*coordinatorv1.GetAccountResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	left := (s.book.cfg.Balance - s.book.spent).String()
	return &coordinatorv1.GetAccountResponse{Account: &coordinatorv1.Account{
		AccountId: s.book.parties.client.account.String(), Balance: left, Escrowed: aitbc.Amount(0).String(),
		Allowance: left, Available: left, ChainId: chainID, OperatorId: s.book.parties.operator.account.String(),
		LedgerTime: timestamppb.Now(), PricePerSecond: price.String(),
	}}, nil
}

// ListModels gives one model.
func (s networkService) ListModels(context.Context, *coordinatorv1.ListModelsRequest) (*coordinatorv1.ListModelsResponse, error) {
	return &coordinatorv1.ListModelsResponse{Object: "list", Data: []*coordinatorv1.Model{{
		Id: modelName, Object: "model", OwnedBy: "aitbc", Digests: []string{hashText(modelName)}, Miners: 1,
	}}}, nil
}

// ListMiners gives one miner.
func (s networkService) ListMiners(context.Context, *coordinatorv1.ListMinersRequest) (*coordinatorv1.ListMinersResponse, error) {
	return &coordinatorv1.ListMinersResponse{Miners: []*coordinatorv1.Miner{{
		MinerId: s.book.parties.miner.account.String(), Status: "connected", Stake: "10aitbc", Reputation: 1, Slots: 2,
		Engine: engine, ConnectedAt: timestamppb.Now(),
		Models:  []*coordinatorv1.MinerModel{{Name: modelName, Digest: hashText(modelName), Warm: true}},
		Devices: []*coordinatorv1.MinerDevice{{Name: "test processor", Kind: "cpu"}},
	}}}, nil
}
