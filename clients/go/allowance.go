package aitbc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// Allowance is what an operator may escrow of an account's tokens without the account's signature. It
// is a limit and moves nothing; what an escrow returns is given back to it. Its JSON has coin text.
type Allowance struct {
	// Client granted it, Operator has it.
	Client   AccountID `json:"client_id"`
	Operator AccountID `json:"operator_id"`
	// Remaining is what may still be escrowed in all.
	Remaining Amount `json:"remaining"`
	// PerJob and PerDay (UTC) bound one job and one day; zero: nothing of their own does. SpentToday is
	// what was escrowed on the current day.
	PerJob     Amount `json:"per_job,omitzero"`
	PerDay     Amount `json:"per_day,omitzero"`
	SpentToday Amount `json:"spent_today,omitzero"`
	// ExpiresTime is when it ends, by the ledger's clock; zero: when it is revoked.
	ExpiresTime time.Time `json:"expires_at,omitzero"`
}

// Allowance reads what an account allows an operator. One that was never granted, or was revoked, is
// zero but for its parties. Errors: the node's.
func (l *Ledger) Allowance(ctx context.Context, client, operator AccountID) (*Allowance, error) {
	a := &Allowance{Client: client, Operator: operator}
	answer, err := l.GetAllowance(ctx, &ledgerv1.GetAllowanceRequest{ClientId: client.String(), OperatorId: operator.String()})
	var refused *Error
	if errors.As(err, &refused) && refused.Code == codes.NotFound {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	m := answer.GetAllowance()
	a.Remaining, a.PerJob, a.PerDay = Amount(m.GetRemainingUaitbc()), Amount(m.GetPerJobUaitbc()), Amount(m.GetPerDayUaitbc())
	a.SpentToday = Amount(m.GetSpentTodayUaitbc())
	if us := m.GetExpiresUs(); us != 0 {
		a.ExpiresTime = time.UnixMicro(us).UTC()
	}
	return a, nil
}

// Grant lets a.Operator escrow a.Remaining of the wallet's tokens in all, within a's other limits, in place
// of what it was allowed before. Errors: those of [Wallet.Send]. Sending it again is harmless.
func (w *Wallet) Grant(ctx context.Context, a Allowance) error {
	grant := &ledgerv1.GrantAllowance{
		Operator: a.Operator[:], CapUaitbc: int64(a.Remaining), PerJobUaitbc: int64(a.PerJob), PerDayUaitbc: int64(a.PerDay),
	}
	if !a.ExpiresTime.IsZero() {
		grant.ExpiresUs = a.ExpiresTime.UnixMicro()
	}
	_, err := w.Send(ctx, &ledgerv1.Message{Message: &ledgerv1.Message_GrantAllowance{GrantAllowance: grant}})
	return err
}

// Revoke ends what an operator was allowed; open escrows stay. Errors: those of [Wallet.Send].
func (w *Wallet) Revoke(ctx context.Context, operator AccountID) error {
	_, err := w.Send(ctx, &ledgerv1.Message{Message: &ledgerv1.Message_RevokeAllowance{RevokeAllowance: &ledgerv1.RevokeAllowance{Operator: operator[:]}}})
	return err
}
