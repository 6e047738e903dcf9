package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
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

// Terms are what a key is for.
type Terms struct {
	// Name is for people.
	Name string
	// Scope, Account, Models, SpendPerDay and Priority are store.Key's.
	Scope       store.Scope
	Account     aitbc.AccountID
	Models      []string
	SpendPerDay aitbc.Amount
	Priority    aitbc.Priority
	// Life is how long it is valid; 0: until revoked.
	Life time.Duration
}

// NewKeyID makes the id of a new key.
func NewKeyID(now time.Time) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making a key id: %w", err)
	}
	return "key_" + strings.ToLower(id.String()), nil
}

// secretBytes is how many random bytes a secret has, which its text holds 26 letters and digits of.
const secretBytes = 32

// Secret writes random bytes, at least 32, as a key. The scope in front tells people, and scanners for
// leaked secrets, what they look at.
func Secret(scope store.Scope, random [secretBytes]byte) string {
	text := base32.StdEncoding.EncodeToString(random[:])[:26]
	return string(scope) + "_" + strings.ToLower(text)
}

// Key is what the store keeps of a secret.
func (t Terms) Key(id, secret string, now time.Time) store.Key {
	key := store.Key{
		Hash:        HashKey(secret),
		ID:          id,
		Name:        t.Name,
		Scope:       t.Scope,
		Account:     t.Account,
		CreatedAt:   now.UTC().Truncate(time.Microsecond),
		Line:        id,
		Models:      t.Models,
		SpendPerDay: t.SpendPerDay,
		Priority:    t.Priority,
	}
	if t.Life > 0 {
		key.ExpiresAt = key.CreatedAt.Add(t.Life)
	}
	return key
}
