package custody

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// Ledger does things on the ledger and waits for them. Implementation: ledger.Client.
type Ledger interface {
	// Execute is ledger.Client's.
	Execute(ctx context.Context, signer ledger.Signer, messages ...*ledgerv1.Message) error
	// Account reads an account. Errors: ledger.ErrNotFound.
	Account(ctx context.Context, id aitbc.AccountID) (*ledgerv1.LedgerAccount, error)
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
	// Terms are the key's. Account zero: the operator's for an admin; for a client a custodial account
	// is made. A client's own account grants its allowance by itself, because nobody else can sign for
	// it.
	auth.Terms
	// Fund is sent from the operator to the account; 0: nothing. A custodial account with nothing
	// is not on the ledger yet: see Issuer.Fund.
	Fund aitbc.Amount
	// Once makes repeats safe.
	Once Once
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
	case r.Scope != store.ScopeClient && r.Scope != store.ScopeReader && r.Scope != store.ScopeMiner && r.Scope != store.ScopeAdmin:
		return apierr.InvalidField("scope", "must be %s, %s, %s or %s", store.ScopeClient, store.ScopeReader, store.ScopeMiner, store.ScopeAdmin)
	case r.Scope == store.ScopeMiner && r.Account.IsZero():
		return apierr.InvalidField("account_id", "is needed: a miner's key needs the miner's account, because only the miner can have its ledger key")
	case r.Scope == store.ScopeReader && r.Account.IsZero():
		return apierr.InvalidField("account_id", "is needed: say whose jobs the reader may read")
	case r.Fund < 0:
		return apierr.InvalidField("fund", "must not be negative")
	case r.Life < 0:
		return apierr.InvalidField("life", "must not be negative")
	case r.SpendPerDay < 0:
		return apierr.InvalidField("spend_per_day", "must not be negative")
	case r.Scope != store.ScopeClient && (r.SpendPerDay > 0 || len(r.Models) > 0 || r.Priority != aitbc.PriorityNormal):
		return apierr.InvalidField("scope", "must be %s for a priority or limits of models or spending: other keys submit no jobs", store.ScopeClient)
	case r.Once.RequestID != "" && r.Fund > 0 && !r.Account.IsZero():
		return apierr.InvalidField("fund", "is for a new account only, where a repeat is seen: leave account_id out, or send tokens by `aitbcd coordinator keys fund`")
	default:
		return nil
	}
}

// Create makes a key and, where needed, its account, with its tokens and its allowance. It returns
// when all is committed; ctx should have a deadline. The key is kept last: after an error there is
// no key, but tokens may have been sent to an account whose key the vault has. Errors name the
// account then; a repeat with the same Once goes on with that account. Errors: INVALID_FIELD,
// IDEMPOTENCY_MISMATCH, OVERLOADED, *ledger.RefusedError, the ledger's and the store's.
func (i *Issuer) Create(ctx context.Context, r Request) (Issued, error) {
	if err := r.validate(); err != nil {
		return Issued{}, fmt.Errorf("create key: %w", err)
	}
	return i.once(ctx, r.Once, r.hash(), r.Now, r.Scope, func(p plan) (Issued, error) {
		custodial := r.Account.IsZero() && r.Scope == store.ScopeClient
		terms := r.Terms
		switch {
		case custodial:
			account, err := i.Vault.Create(ctx, p.seed)
			if err != nil {
				return Issued{}, fmt.Errorf("create key: %w", err)
			}
			terms.Account = account
		case terms.Account.IsZero():
			terms.Account = i.Operator.Account
		}
		if err := i.fundNew(ctx, terms.Account, r.Fund, custodial); err != nil {
			return Issued{}, fmt.Errorf("create key: %w", err)
		}
		key := terms.Key(p.keyID, p.secret, p.createdAt)
		if err := i.Keys.PutKey(ctx, key); err != nil {
			return Issued{}, fmt.Errorf("keep key for account %s: %w", key.Account, err)
		}
		return Issued{Secret: p.secret, Key: key, Custodial: custodial}, nil
	})
}

// fundNew sends a new key's tokens. A custodial account that is on the ledger already has got them from
// an earlier try: nobody else knows it.
func (i *Issuer) fundNew(ctx context.Context, account aitbc.AccountID, amount aitbc.Amount, custodial bool) error {
	if amount == 0 {
		return nil
	}
	if custodial {
		switch _, err := i.Ledger.Account(ctx, account); {
		case err == nil:
			return i.grant(ctx, account)
		case !errors.Is(err, ledger.ErrNotFound):
			return fmt.Errorf("look for account %s: %w", account, err)
		}
	}
	return i.Fund(ctx, account, amount)
}

// Fund sends tokens from the operator to an account. A custodial one then allows the operator to
// escrow all it has. It returns when both are committed. Errors: *ledger.RefusedError, the store's.
func (i *Issuer) Fund(ctx context.Context, account aitbc.AccountID, amount aitbc.Amount) error {
	_, err := i.Vault.Key(ctx, account)
	custodial := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	transfer := &ledgerv1.Message{Message: &ledgerv1.Message_Transfer{Transfer: &ledgerv1.Transfer{
		To: account[:], AmountUaitbc: int64(amount),
	}}}
	err = i.Ledger.Execute(ctx, i.Operator, transfer)
	var refused *ledger.RefusedError
	if errors.As(err, &refused) && refused.Code == ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS {
		return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, "the operator's account %s has not got %s", i.Operator.Account, amount).
			With("account_id", i.Operator.Account.String()).With("amount", amount.String()).WithCause(err)
	}
	if err != nil {
		return fmt.Errorf("send %s to account %s: %w", amount, account, err)
	}
	if !custodial {
		return nil
	}
	return i.grant(ctx, account)
}

// grant lets a custodial account be spent from.
func (i *Issuer) grant(ctx context.Context, account aitbc.AccountID) error {
	key, err := i.Vault.Key(ctx, account)
	if err != nil {
		return err
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
