package custody

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// ErrSealed says that a sealed key does not open: it was sealed with another key file or for
// another account, or it was changed.
var ErrSealed = errors.New("the sealed account key does not open with this key file")

// sealVersion is the first byte of a sealed key: AES-256-GCM, random nonce, account as additional
// data, over the account key's 32-byte seed.
const sealVersion = 1

// KeyFile is the key file's name within the state folder.
const KeyFile = "keys/custody.key"

// Vault keeps the keys of custodial accounts. Replicas of one operator share its key file.
type Vault struct {
	aead     cipher.AEAD
	accounts store.Accounts
}

// OpenVault reads the key file, and makes it (mode 0600) when it is not there. Errors: those of
// [aitbc.LoadOrCreateKey].
func OpenVault(keyFile string, accounts store.Accounts) (*Vault, error) {
	file, err := aitbc.LoadOrCreateKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("open custody key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, file.Seed(), nil, "aitbc/custody/v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive custody key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open custody key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("open custody key: %w", err)
	}
	return &Vault{aead: aead, accounts: accounts}, nil
}

// Create makes an account and keeps its sealed key; when it returns, the key is durable. On the
// ledger the account comes into being with its first tokens.
func (v *Vault) Create(ctx context.Context) (aitbc.AccountID, ed25519.PrivateKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return aitbc.AccountID{}, nil, fmt.Errorf("make account key: %w", err)
	}
	account := aitbc.AccountOf(public)
	sealed := v.aead.Seal([]byte{sealVersion}, nil, key.Seed(), account[:])
	if err := v.accounts.PutAccountKey(ctx, account, sealed); err != nil {
		return aitbc.AccountID{}, nil, fmt.Errorf("keep account key: %w", err)
	}
	return account, key, nil
}

// Key opens an account's key. Errors: store.ErrNotFound (not a custodial account), ErrSealed.
func (v *Vault) Key(ctx context.Context, account aitbc.AccountID) (ed25519.PrivateKey, error) {
	sealed, err := v.accounts.AccountKey(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("read key of account %s: %w", account, err)
	}
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, fmt.Errorf("open key of account %s: %w: unknown version", account, ErrSealed)
	}
	seed, err := v.aead.Open(nil, nil, sealed[1:], account[:])
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("open key of account %s: %w", account, ErrSealed)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
