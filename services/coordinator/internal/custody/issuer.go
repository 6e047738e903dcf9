package custody

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Ledger does things on the ledger and waits for them. Implementation: ledger.Client.
type Ledger interface {
	// Execute is ledger.Client's.
	Execute(ctx context.Context, signer ledger.Signer, messages ...*ledgerv1.Message) error
}

// Issuer makes API keys.
type Issuer struct {
	// Keys takes the keys, Vault the accounts that are made.
	Keys  store.Keys
	Vault *Vault
	// Ledger is used only when tokens are sent.
	Ledger Ledger
	// Operator pays, and gets the allowances.
	Operator ledger.Signer
}

// Request is what a key is wanted for.
type Request struct {
	// Name is for people.
	Name string
	// Scope is what the key may be used for.
	Scope store.Scope
	// Account is whose key it is. Zero: the operator's for an admin; for a client a custodial
	// account is made. A client's own account grants its allowance by itself, because nobody else
	// can sign for it.
	Account aitbc.AccountID
	// Fund is sent from the operator to the account; 0: nothing. A custodial account with nothing
	// is not on the ledger yet: see Issuer.Fund.
	Fund aitbc.Amount
	// Life is how long the key is valid; 0: until revoked.
	Life time.Duration
	// Now is the time of its making.
	Now time.Time
}

// Issued is a new key.
type Issued struct {
	// Secret is the key itself. It is shown once and kept nowhere.
	Secret string
	// Key is what the store has of it.
	Key store.Key
	// Custodial says that the operator holds the account's key.
	Custodial bool
}

func (r Request) validate() error {
	switch {
	case r.Scope != store.ScopeClient && r.Scope != store.ScopeMiner && r.Scope != store.ScopeAdmin:
		return fmt.Errorf("scope %q: want %s, %s or %s", r.Scope, store.ScopeClient, store.ScopeMiner, store.ScopeAdmin)
	case r.Scope == store.ScopeMiner && r.Account.IsZero():
		return errors.New("a miner's key needs the miner's account: only the miner can have its ledger key")
	case r.Fund < 0 || r.Life < 0:
		return errors.New("tokens and life must not be negative")
	default:
		return nil
	}
}

// Create makes a key and, where needed, its account, with its tokens and its allowance. It returns
// when all is committed; ctx should have a deadline. The key is kept last: after an error there is
// no key, but tokens may have been sent to an account whose key the vault has. Errors name the
// account then.
func (i *Issuer) Create(ctx context.Context, r Request) (Issued, error) {
	if err := r.validate(); err != nil {
		return Issued{}, fmt.Errorf("create key: %w", err)
	}
	account, custodial := r.Account, false
	switch {
	case !account.IsZero():
	case r.Scope == store.ScopeAdmin:
		account = i.Operator.Account
	default:
		made, _, err := i.Vault.Create(ctx)
		if err != nil {
			return Issued{}, fmt.Errorf("create key: %w", err)
		}
		account, custodial = made, true
	}
	if r.Fund > 0 {
		if err := i.Fund(ctx, account, r.Fund); err != nil {
			return Issued{}, fmt.Errorf("create key: %w", err)
		}
	}
	secret, key, err := auth.Issue(r.Scope, r.Name, account, r.Now, r.Life)
	if err != nil {
		return Issued{}, fmt.Errorf("create key for account %s: %w", account, err)
	}
	if err := i.Keys.PutKey(ctx, key); err != nil {
		return Issued{}, fmt.Errorf("keep key for account %s: %w", account, err)
	}
	return Issued{Secret: secret, Key: key, Custodial: custodial}, nil
}

// Fund sends tokens from the operator to an account. A custodial one then allows the operator to
// escrow all it has. It returns when both are committed. Errors: *ledger.RefusedError, the store's.
func (i *Issuer) Fund(ctx context.Context, account aitbc.AccountID, amount aitbc.Amount) error {
	key, err := i.Vault.Key(ctx, account)
	custodial := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	transfer := &ledgerv1.Message{Message: &ledgerv1.Message_Transfer{Transfer: &ledgerv1.Transfer{
		To: account[:], AmountUaitbc: int64(amount),
	}}}
	if err := i.Ledger.Execute(ctx, i.Operator, transfer); err != nil {
		return fmt.Errorf("send %s to account %s: %w", amount, account, err)
	}
	if !custodial {
		return nil
	}
	operator := i.Operator.Account
	grant := &ledgerv1.Message{Message: &ledgerv1.Message_GrantAllowance{GrantAllowance: &ledgerv1.GrantAllowance{
		Operator: operator[:], CapUaitbc: math.MaxInt64,
	}}}
	if err := i.Ledger.Execute(ctx, ledger.Signer{Account: account, Key: key}, grant); err != nil {
		return fmt.Errorf("grant the operator an allowance of account %s: %w", account, err)
	}
	return nil
}
