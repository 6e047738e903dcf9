package custody

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
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
	file     []byte // the key file's seed
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
	return &Vault{file: file.Seed(), aead: aead, accounts: accounts}, nil
}

// Create makes an account from a random seed, the same one from the same, and keeps its sealed key; when
// it returns, the key is durable. On the ledger the account comes into being with its first tokens.
func (v *Vault) Create(ctx context.Context, seed aitbc.Hash) (aitbc.AccountID, error) {
	own, err := v.derive(seed, "aitbc/custody/account/v1")
	if err != nil {
		return aitbc.AccountID{}, err
	}
	key := ed25519.NewKeyFromSeed(own[:])
	account := aitbc.AccountOf(key.Public().(ed25519.PublicKey))
	sealed := v.aead.Seal([]byte{sealVersion}, nil, key.Seed(), account[:])
	if err := v.accounts.PutAccountKey(ctx, account, sealed); err != nil {
		return aitbc.AccountID{}, fmt.Errorf("keep account key: %w", err)
	}
	return account, nil
}

// Secret derives the random bytes of an API key from a random seed. Who has the seed alone, as the store
// has it, can derive nothing.
func (v *Vault) Secret(seed aitbc.Hash) ([32]byte, error) {
	return v.derive(seed, "aitbc/custody/api-key/v1")
}

func (v *Vault) derive(seed aitbc.Hash, purpose string) (out [32]byte, err error) {
	key, err := hkdf.Key(sha256.New, v.file, seed[:], purpose, len(out))
	if err != nil {
		return out, fmt.Errorf("derive %s: %w", purpose, err)
	}
	return [32]byte(key), nil
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
