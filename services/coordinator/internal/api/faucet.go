package api

import (
	"context"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// Faucet gives tokens away.
type Faucet interface {
	// Fill brings an account's balance up to what the faucet gives, and waits until that is committed.
	// Errors: INSUFFICIENT_FUNDS, LEDGER_UNAVAILABLE.
	Fill(ctx context.Context, account aitbc.AccountID) (balance, sent aitbc.Amount, err error)
}

type faucetServer struct {
	coordinatorv1.UnimplementedFaucetServiceServer
	faucet Faucet
}

// FillAccount implements FaucetService.
func (s *faucetServer) FillAccount(ctx context.Context, r *coordinatorv1.FillAccountRequest) (*coordinatorv1.FillAccountResponse, error) {
	account, err := aitbc.ParseAccountID(r.GetAccountId())
	if err != nil {
		return nil, apierr.InvalidField("account_id", "must be an address, such as aitbc account create prints").WithCause(err)
	}
	balance, sent, err := s.faucet.Fill(ctx, account)
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.FillAccountResponse{AccountId: account.String(), Balance: balance.String(), Sent: sent.String()}, nil
}
