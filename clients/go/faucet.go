package aitbc

import (
	"context"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Filling is what a faucet did.
type Filling struct {
	// Account is whose; Balance is what it has now.
	Account AccountID `json:"account_id"`
	Balance Amount    `json:"balance"`
	// Sent is what the faucet sent; zero: the account had enough.
	Sent Amount `json:"sent"`
}

// FillAccount has the faucet of a development network bring an account's balance up to 100 coins, and
// returns when that is on the ledger. It needs no API key. Elsewhere there is no faucet: reason
// ROUTE_NOT_FOUND.
func (c *Client) FillAccount(ctx context.Context, account AccountID) (*Filling, error) {
	answer, err := c.faucet.FillAccount(ctx, &coordinatorv1.FillAccountRequest{AccountId: account.String()})
	if err != nil {
		return nil, err
	}
	var f fieldReader
	return &Filling{
		Account: f.account("account_id", answer.GetAccountId()), Balance: f.amount("balance", answer.GetBalance()), Sent: f.amount("sent", answer.GetSent()),
	}, f.err()
}
