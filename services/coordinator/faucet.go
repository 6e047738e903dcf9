package coordinator

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// faucetFill is what an account has afterwards.
const faucetFill = 100 * aitbc.UnitsPerCoin

// faucet gives an account's tokens to whoever asks.
type faucet struct {
	ledger custody.Ledger
	signer ledger.Signer
	// mu keeps two fillings at once from filling twice.
	mu sync.Mutex
}

var _ api.Faucet = (*faucet)(nil)

func newFaucet(l custody.Ledger, key ed25519.PrivateKey) *faucet {
	account := aitbc.AccountOf(key.Public().(ed25519.PublicKey))
	return &faucet{ledger: l, signer: ledger.Signer{Account: account, Key: key}}
}

// Fill implements api.Faucet.
func (f *faucet) Fill(ctx context.Context, account aitbc.AccountID) (balance, sent aitbc.Amount, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry, err := f.ledger.Account(ctx, account)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return 0, 0, fmt.Errorf("read account %s: %w", account, err)
	}
	balance = aitbc.Amount(entry.GetBalanceUaitbc())
	if balance >= faucetFill || account == f.signer.Account {
		return balance, 0, nil
	}
	sent = faucetFill - balance
	err = f.ledger.Execute(ctx, f.signer, &ledgerv1.Message{Message: &ledgerv1.Message_Transfer{Transfer: &ledgerv1.Transfer{
		To: account[:], AmountUaitbc: int64(sent),
	}}})
	var refused *ledger.RefusedError
	if errors.As(err, &refused) && refused.Code == ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS {
		return 0, 0, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, "the faucet is empty").WithCause(err)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("fill account %s: %w", account, err)
	}
	return faucetFill, sent, nil
}
