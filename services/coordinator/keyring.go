package coordinator

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// keyring makes API keys in a running coordinator.
type keyring struct {
	// issuer opens the vault at the first use, so that a replica that makes no keys makes no key file
	// of its own.
	issuer func() (*custody.Issuer, error)
	keys   store.Keys
	forget func(store.Key)
}

var _ api.Keys = (*keyring)(nil)

func (s *Service) keyring(p *parts, authorizer *auth.Authorizer) *keyring {
	open := func() (*custody.Issuer, error) {
		vault, err := custody.OpenVault(filepath.Join(s.cfg.StateDir, custody.KeyFile), p.store)
		if err != nil {
			return nil, err
		}
		issuer := &custody.Issuer{
			Keys: p.store, Vault: vault, Ledger: noLedger{}, Operator: ledger.Signer{Account: s.Operator(), Key: s.operator},
		}
		if p.ledger != nil {
			issuer.Ledger = p.ledger
		}
		return issuer, nil
	}
	return &keyring{
		issuer: sync.OnceValues(open), keys: p.store,
		forget: func(key store.Key) { authorizer.Forget(key.Hash) },
	}
}

// Create implements api.Keys.
func (k *keyring) Create(ctx context.Context, r custody.Request) (custody.Issued, error) {
	issuer, err := k.issuer()
	if err != nil {
		return custody.Issued{}, err
	}
	return issuer.Create(ctx, r)
}

// Rotate implements api.Keys.
func (k *keyring) Rotate(ctx context.Context, r custody.Rotation) (custody.Issued, store.Key, error) {
	issuer, err := k.issuer()
	if err != nil {
		return custody.Issued{}, store.Key{}, err
	}
	issued, replaced, err := issuer.Rotate(ctx, r)
	k.forget(replaced) // its end is another now
	return issued, replaced, err
}

// Revoke implements api.Keys.
func (k *keyring) Revoke(ctx context.Context, id string, now time.Time) (store.Key, error) {
	issuer, err := k.issuer()
	if err != nil {
		return store.Key{}, err
	}
	key, err := issuer.Revoke(ctx, id, now)
	k.forget(key)
	return key, err
}

// List implements api.Keys.
func (k *keyring) List(ctx context.Context) ([]store.Key, error) { return k.keys.ListKeys(ctx) }
