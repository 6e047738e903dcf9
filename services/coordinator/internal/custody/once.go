package custody

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// Once makes a repeat of a request give the first one's answer, secret included. RequestID empty: each
// request is one of its own.
type Once struct {
	// Account is the caller's, RequestID its idempotency key.
	Account   aitbc.AccountID
	RequestID string
}

const (
	// requestLife is how long an idempotency key is remembered.
	requestLife = 24 * time.Hour
	// tryLife is how long a try may take: longer than its transactions may be committed. Until then no
	// other begins, so no tokens are sent twice.
	tryLife = time.Minute
)

// plan is what a request will make: the same however often it is tried.
type plan struct {
	keyID, secret string
	seed          aitbc.Hash
	createdAt     time.Time
}

// once carries a request out, or gives what it made before. What is remembered is a seed; the secret is
// derived from it with the vault's key file and is kept nowhere. Errors: IDEMPOTENCY_MISMATCH,
// OVERLOADED, those of make.
func (i *Issuer) once(ctx context.Context, o Once, hash aitbc.Hash, now time.Time, scope store.Scope, make func(plan) (Issued, error)) (Issued, error) {
	r, begun, err := i.begin(ctx, o, hash, now)
	if err != nil {
		return Issued{}, err
	}
	random, err := i.Vault.Secret(r.Seed)
	if err != nil {
		return Issued{}, err
	}
	p := plan{keyID: r.KeyID, secret: auth.Secret(scope, random), seed: r.Seed, createdAt: r.CreatedAt}
	made, err := i.Keys.KeyByHash(ctx, auth.HashKey(p.secret))
	switch {
	case err == nil:
		return i.again(ctx, p, made)
	case !errors.Is(err, store.ErrNotFound):
		return Issued{}, fmt.Errorf("look for key %s: %w", p.keyID, err)
	case !begun:
		return Issued{}, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED,
			"a call with this request_id is under way, or ended in the middle: try again").WithRetryAfter(time.Second)
	}
	issued, err := make(p)
	if err != nil && o.RequestID != "" && certain(err) {
		err = errors.Join(err, i.Keys.EndKeyRequest(context.WithoutCancel(ctx), o.Account, o.RequestID))
	}
	return issued, err
}

// begin gives what a request stands for, and whether it is to be carried out.
func (i *Issuer) begin(ctx context.Context, o Once, hash aitbc.Hash, now time.Time) (store.KeyRequest, bool, error) {
	now = now.UTC().Truncate(time.Microsecond)
	id, err := auth.NewKeyID(now)
	if err != nil {
		return store.KeyRequest{}, false, err
	}
	r := store.KeyRequest{Account: o.Account, RequestID: o.RequestID, Hash: hash, KeyID: id, CreatedAt: now, ExpiresAt: now.Add(requestLife)}
	if _, err := rand.Read(r.Seed[:]); err != nil {
		return r, false, fmt.Errorf("make a seed: %w", err)
	}
	if o.RequestID == "" {
		return r, true, nil
	}
	found, begun, err := i.Keys.BeginKeyRequest(ctx, r, now, tryLife)
	if err == nil && found.Hash != hash {
		err = job.ErrMismatch
	}
	return found, begun, err
}

// again gives the answer to a repeat.
func (i *Issuer) again(ctx context.Context, p plan, made store.Key) (Issued, error) {
	_, err := i.Vault.Key(ctx, made.Account)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Issued{}, err
	}
	return Issued{Secret: p.secret, Key: made, Custodial: err == nil && made.Scope == store.ScopeClient}, nil
}

// certain reports whether an error leaves no doubt about what has happened on the ledger.
func certain(err error) bool {
	var refused *ledger.RefusedError
	var known *apierr.Error
	return errors.As(err, &refused) || errors.As(err, &known)
}

// hash identifies what is asked for, not by whom and when.
func (r Request) hash() aitbc.Hash {
	return hashOf(struct {
		Call  string
		Terms auth.Terms
		Fund  aitbc.Amount
	}{"create", r.Terms, r.Fund})
}

func hashOf(what any) aitbc.Hash {
	text, err := json.Marshal(what)
	if err != nil {
		panic("custody: a request of plain fields has no JSON: " + err.Error())
	}
	return sha256.Sum256(text)
}
