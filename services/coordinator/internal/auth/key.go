package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// The keys of a development network, which everybody knows. Only `aitbcd dev` puts them into a
// store.
const (
	DevClientKey = "client_dev_key_1"
	DevMinerKey  = "miner_dev_key_1"
	DevAdminKey  = "admin_dev_key_1"
)

// HashKey is what the store has of a key.
func HashKey(secret string) aitbc.Hash { return sha256.Sum256([]byte(secret)) }

// Issue makes a new key: the secret, which exists nowhere else, and what the store keeps. A life of
// zero never ends.
func Issue(scope store.Scope, name string, account aitbc.AccountID, now time.Time, life time.Duration) (secret string, key store.Key, err error) {
	// The scope in front tells people, and scanners for leaked secrets, what they look at.
	secret = string(scope) + "_" + strings.ToLower(rand.Text())
	key, err = Describe(secret, scope, name, account, now, life)
	return secret, key, err
}

// Describe is what the store keeps of a given secret.
func Describe(secret string, scope store.Scope, name string, account aitbc.AccountID, now time.Time, life time.Duration) (store.Key, error) {
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return store.Key{}, fmt.Errorf("making a key id: %w", err)
	}
	key := store.Key{
		Hash:      HashKey(secret),
		ID:        "key_" + strings.ToLower(id.String()),
		Name:      name,
		Scope:     scope,
		Account:   account,
		CreatedAt: now.UTC().Truncate(time.Microsecond),
	}
	if life > 0 {
		key.ExpiresAt = key.CreatedAt.Add(life)
	}
	return key, nil
}
