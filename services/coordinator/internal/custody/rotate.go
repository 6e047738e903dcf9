package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// DefaultGrace is how long a key that was rotated works beside its successor.
const DefaultGrace = 24 * time.Hour

// Rotation is a wish to replace a key.
type Rotation struct {
	// KeyID is the key's.
	KeyID string
	// Grace is how long it goes on working.
	Grace time.Duration
	// Life is how long the new one is valid; 0: as long as the old one was from its making to its end.
	Life time.Duration
	// Once makes repeats safe.
	Once Once
	// Now is the time.
	Now time.Time
}

// Rotate makes a key's successor, with the same rights, of the same line, and lets the key expire.
// Errors: INVALID_FIELD, KEY_NOT_FOUND, WRONG_STATE, IDEMPOTENCY_MISMATCH, OVERLOADED, the store's.
func (i *Issuer) Rotate(ctx context.Context, r Rotation) (issued Issued, replaced store.Key, err error) {
	if r.Grace < 0 || r.Life < 0 {
		return Issued{}, store.Key{}, fmt.Errorf("rotate key: %w", apierr.InvalidField("grace", "must not be negative, and neither must life"))
	}
	old, err := i.Find(ctx, r.KeyID)
	if err != nil {
		return Issued{}, store.Key{}, fmt.Errorf("rotate key: %w", err)
	}
	hash := hashOf(struct {
		Call, KeyID string
		Grace, Life time.Duration
	}{"rotate", r.KeyID, r.Grace, r.Life})
	issued, err = i.once(ctx, r.Once, hash, r.Now, old.Scope, func(p plan) (Issued, error) {
		if state := StateOf(old, r.Now); state != StateLive {
			return Issued{}, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, "the key %s is %s: make a new one", old.ID, state).
				With("key_id", old.ID).With("state", state)
		}
		next := successor(old, r.Life).Key(p.keyID, p.secret, p.createdAt)
		next.Line = old.Line
		if err := i.Keys.RotateKey(ctx, old.ID, p.createdAt.Add(r.Grace), next); err != nil {
			return Issued{}, err
		}
		return i.again(ctx, p, next)
	})
	if err != nil {
		return Issued{}, store.Key{}, fmt.Errorf("rotate key: %w", err)
	}
	replaced, err = i.Find(ctx, r.KeyID)
	return issued, replaced, err
}

// successor gives what the key after this one is for.
func successor(old store.Key, life time.Duration) auth.Terms {
	if life == 0 && !old.ExpiresAt.IsZero() {
		life = old.ExpiresAt.Sub(old.CreatedAt)
	}
	return auth.Terms{
		Name: old.Name, Scope: old.Scope, Account: old.Account, Models: old.Models, SpendPerDay: old.SpendPerDay,
		Priority: old.Priority, Life: life,
	}
}

// Revoke ends a key; one that has ended stays as it is. Errors: KEY_NOT_FOUND, the store's.
func (i *Issuer) Revoke(ctx context.Context, id string, now time.Time) (store.Key, error) {
	err := i.Keys.RevokeKey(ctx, id, now.UTC().Truncate(time.Microsecond))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Key{}, err
	}
	return i.Find(ctx, id)
}

// Find reads a key. Errors: KEY_NOT_FOUND, the store's.
func (i *Issuer) Find(ctx context.Context, id string) (store.Key, error) {
	key, err := i.Keys.Key(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Key{}, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_KEY_NOT_FOUND, "there is no key %s; `keys list` shows them", id).With("key_id", id)
	}
	return key, err
}

// The states of a key. The words are the API's.
const (
	StateLive    = "live"
	StateExpired = "expired"
	StateRevoked = "revoked"
)

// StateOf gives a key's state.
func StateOf(key store.Key, now time.Time) string {
	switch {
	case !key.RevokedAt.IsZero():
		return StateRevoked
	case !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt):
		return StateExpired
	default:
		return StateLive
	}
}
