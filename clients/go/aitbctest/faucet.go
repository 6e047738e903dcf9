package aitbctest

import (
	"context"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

type faucetService struct {
	coordinatorv1.UnimplementedFaucetServiceServer
}

// FillAccount says that any account got 100 coins. There is no ledger that would have them.
func (faucetService) FillAccount(_ context.Context, r *coordinatorv1.FillAccountRequest) (*coordinatorv1.FillAccountResponse, error) {
	if _, err := aitbc.ParseAccountID(r.GetAccountId()); err != nil {
		return nil, invalidField("account_id", "must be an address")
	}
	full := aitbc.Amount(100 * aitbc.UnitsPerCoin).String()
	return &coordinatorv1.FillAccountResponse{AccountId: r.GetAccountId(), Balance: full, Sent: full}, nil
}
