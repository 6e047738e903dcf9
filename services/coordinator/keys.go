package coordinator

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// DefaultKeyGrace is how long a rotated key usually works beside its successor.
const DefaultKeyGrace = custody.DefaultGrace

// KeyRequest is what an API key is wanted for.
type KeyRequest struct {
	// Name is for people.
	Name string
	// Scope is client, reader, miner or admin.
	Scope string
	// Account is whose it is; zero: the operator's for an admin, a new custodial one for a client.
	Account aitbc.AccountID
	// Fund is sent from the operator to the account.
	Fund aitbc.Amount
	// Life is how long it is valid; 0: until revoked.
	Life time.Duration
	// Models are the models that its jobs may ask for; none: all. SpendPerDay is what its jobs of one
	// day (UTC) may cost; 0: no limit.
	Models      []string
	SpendPerDay aitbc.Amount
	// Priority is the highest that its jobs may have.
	Priority aitbc.Priority
}

// KeyInfo is a key without its secret.
type KeyInfo struct {
	ID          string          `json:"key_id"`
	Name        string          `json:"name"`
	Scope       string          `json:"scope"`
	Account     aitbc.AccountID `json:"account_id"`
	State       string          `json:"state"`
	Models      []string        `json:"models,omitempty"`
	SpendPerDay *aitbc.Amount   `json:"spend_per_day,omitempty"`
	SpentToday  *aitbc.Amount   `json:"spent_today,omitempty"`
	Priority    aitbc.Priority  `json:"priority"`
	Line        string          `json:"line"`
	CreatedAt   time.Time       `json:"created_at"`
	ExpiresAt   time.Time       `json:"expires_at,omitzero"`
	RevokedAt   time.Time       `json:"revoked_at,omitzero"`
}

// NewKey is a key that was just made.
type NewKey struct {
	// Secret is the key itself. It is shown once and kept nowhere.
	Secret string `json:"key"`
	KeyInfo
	// Custodial says that the operator holds the account's ledger key.
	Custodial bool `json:"custodial"`
}

// Keys makes, lists and revokes API keys, beside a running coordinator or without one: it works on
// the same store and the same ledger. Close ends it.
type Keys struct {
	cfg   Config
	store store.Store
	log   *slog.Logger
}

// OpenKeys opens a coordinator's keys.
func OpenKeys(ctx context.Context, cfg Config, log *slog.Logger) (*Keys, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.StateDir); err != nil {
		return nil, fmt.Errorf("no state folder %s: name the coordinator's with --state (that of make run is state/dev): %w", cfg.StateDir, err)
	}
	st, err := cfg.openStore(ctx)
	if err != nil {
		return nil, err
	}
	return &Keys{cfg: cfg, store: st, log: log}, nil
}

// Close closes the store.
func (k *Keys) Close() error { return k.store.Close() }

// Create makes a key and, for a client without an account of its own, a custodial account. It
// returns when everything is committed.
func (k *Keys) Create(ctx context.Context, r KeyRequest) (NewKey, error) {
	terms := auth.Terms{
		Name: r.Name, Scope: store.Scope(r.Scope), Account: r.Account, SpendPerDay: r.SpendPerDay, Priority: r.Priority, Life: r.Life,
	}
	for _, model := range r.Models {
		terms.Models = append(terms.Models, aitbc.FullModelName(model))
	}
	var made NewKey
	create := func(issuer *custody.Issuer) error {
		issued, err := issuer.Create(ctx, custody.Request{Terms: terms, Fund: r.Fund, Now: time.Now()})
		if err != nil {
			return err
		}
		made, err = k.newKey(ctx, issued)
		return err
	}
	return made, k.onLedger(ctx, create)
}

// Rotate makes a key's successor; the key goes on working for the grace time. Life is the new one's; 0:
// as long as the old one was given.
func (k *Keys) Rotate(ctx context.Context, id string, grace, life time.Duration) (NewKey, error) {
	issuer, err := k.issuer()
	if err != nil {
		return NewKey{}, err
	}
	issued, _, err := issuer.Rotate(ctx, custody.Rotation{KeyID: id, Grace: grace, Life: life, Now: time.Now()})
	if err != nil {
		return NewKey{}, err
	}
	return k.newKey(ctx, issued)
}

func (k *Keys) newKey(ctx context.Context, issued custody.Issued) (NewKey, error) {
	info, err := k.info(ctx, issued.Key, time.Now())
	return NewKey{Secret: issued.Secret, KeyInfo: info, Custodial: issued.Custodial}, err
}

// issuer is one that needs no ledger.
func (k *Keys) issuer() (*custody.Issuer, error) {
	operator, err := k.cfg.loadOperator()
	if err != nil {
		return nil, err
	}
	vault, err := custody.OpenVault(filepath.Join(k.cfg.StateDir, custody.KeyFile), k.store)
	if err != nil {
		return nil, err
	}
	account := aitbc.AccountOf(operator.Public().(ed25519.PublicKey))
	return &custody.Issuer{
		Keys: k.store, Vault: vault, Ledger: noLedger{}, Operator: ledger.Signer{Account: account, Key: operator},
	}, nil
}

// Fund sends tokens from the operator to an account, and lets a custodial one be spent from. It
// returns when everything is committed.
func (k *Keys) Fund(ctx context.Context, account aitbc.AccountID, amount aitbc.Amount) error {
	return k.onLedger(ctx, func(issuer *custody.Issuer) error { return issuer.Fund(ctx, account, amount) })
}

// onLedger does work with the ledger, once it is sure that it is the operator's.
func (k *Keys) onLedger(ctx context.Context, work func(*custody.Issuer) error) (err error) {
	issuer, err := k.issuer()
	if err != nil {
		return err
	}
	if k.cfg.Ledger == LedgerNone {
		return work(issuer)
	}
	s := &Service{cfg: k.cfg, deps: Deps{Logger: k.log}, operator: issuer.Operator.Key}
	client, err := s.ledgerClient()
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- client.Run(following) }()
	defer func() { stop(); err = errors.Join(err, <-followed) }()
	head, err := client.Await(ctx)
	if err != nil {
		return fmt.Errorf("no ledger answers at %s: is it running, and is --ledger-url right? %w", strings.Join(k.cfg.LedgerURLs, ","), err)
	}
	if _, err := client.Operator(ctx, s.Operator()); err != nil {
		return fmt.Errorf("the ledger at %s (chain %s) does not know this operator: is --ledger-url this coordinator's ledger? %w",
			strings.Join(k.cfg.LedgerURLs, ","), head.ChainID, err)
	}
	issuer.Ledger = client
	return work(issuer)
}

// List lists all keys, by id.
func (k *Keys) List(ctx context.Context) ([]KeyInfo, error) {
	stored, err := k.store.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	infos := make([]KeyInfo, len(stored))
	for i, key := range stored {
		if infos[i], err = k.info(ctx, key, time.Now()); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

// Revoke ends a key. A running coordinator refuses it within seconds.
func (k *Keys) Revoke(ctx context.Context, id string) error {
	err := k.store.RevokeKey(ctx, id, time.Now().UTC().Truncate(time.Microsecond))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("revoke key: there is no key %s; `keys list` shows them", id)
	}
	return err
}

func (k *Keys) info(ctx context.Context, key store.Key, now time.Time) (KeyInfo, error) {
	info := KeyInfo{
		ID: key.ID, Name: key.Name, Scope: string(key.Scope), Account: key.Account, State: custody.StateOf(key, now), Models: key.Models, Line: key.Line, Priority: key.Priority,
		CreatedAt: key.CreatedAt, ExpiresAt: key.ExpiresAt, RevokedAt: key.RevokedAt,
	}
	if key.SpendPerDay == 0 {
		return info, nil
	}
	spent, err := k.store.SpentOf(ctx, key.Line, store.DayOf(now))
	if err != nil {
		return info, err
	}
	info.SpendPerDay, info.SpentToday = &key.SpendPerDay, &spent
	return info, nil
}
