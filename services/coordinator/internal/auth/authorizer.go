package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"google.golang.org/grpc/metadata"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

// ReplicaHeader carries the token of a call from another replica.
const ReplicaHeader = "aitbc-replica"

// Replicas checks the tokens of calls from other replicas.
type Replicas interface {
	// Verify gives whose call it is that a replica passes on; without a scope it is its own.
	Verify(token string, now time.Time) (Principal, error)
}

const (
	apiKeyHeader   = "x-api-key"
	minerKeyHeader = "x-miner-key"
	// Nothing that long is a key; its hash need not be made.
	maxKeyBytes = 256
)

// Keys is where keys are found; store.Store is one.
type Keys interface {
	// KeyByHash reads a key, revoked and expired ones too. Errors: store.ErrNotFound.
	KeyByHash(ctx context.Context, hash aitbc.Hash) (store.Key, error)
}

// Config bounds what an Authorizer remembers.
type Config struct {
	// CacheFor is how long a key's state is believed without asking the store: the longest that a
	// key revoked elsewhere goes on working. Default 2 s; zero asks every time.
	CacheFor time.Duration
	// CacheKeys is how many keys are remembered, at least 1. Default 10,000.
	CacheKeys int
}

// DefaultConfig remembers 10,000 keys for 2 s.
func DefaultConfig() Config { return Config{CacheFor: 2 * time.Second, CacheKeys: 10_000} }

// Authorizer knows the rules and the keys. It is safe for concurrent use.
type Authorizer struct {
	config Config
	keys   Keys
	rules  map[string]rule
	// replicas is nil while calls from replicas are refused.
	replicas Replicas
	cache    *lru.Cache[aitbc.Hash, cached]
}

var _ rpc.Authorizer = (*Authorizer)(nil)

type cached struct {
	key   store.Key
	until time.Time
}

// New makes an authorizer of the coordinator's methods.
func New(cfg Config, keys Keys) (*Authorizer, error) {
	cache, err := lru.New[aitbc.Hash, cached](cfg.CacheKeys)
	if err != nil {
		return nil, fmt.Errorf("making the cache of keys: %w", err)
	}
	return &Authorizer{config: cfg, keys: keys, rules: rules(), cache: cache}, nil
}

// Authorize implements rpc.Authorizer. Errors: INVALID_KEY, SCOPE_MISSING.
func (a *Authorizer) Authorize(ctx context.Context, method string) (context.Context, error) {
	rule, ok := a.rules[method]
	if !ok {
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING, "no key may call %s", method).With("method", method)
	}
	if rule.open {
		return ctx, nil
	}
	if tokens := metadata.ValueFromIncomingContext(ctx, ReplicaHeader); len(tokens) > 0 || rule.replica {
		return a.authorizeReplica(ctx, rule, tokens)
	}
	header, secret, err := credentialOf(ctx)
	if err != nil {
		return nil, err
	}
	key, err := a.lookUp(ctx, HashKey(secret), time.Now())
	if err != nil {
		return nil, err
	}
	obs.Annotate(ctx, slog.String(obs.KeyKeyID, key.ID), slog.String(obs.KeyAccountID, key.Account.String()))
	if want := headerOf(key.Scope); header != want {
		return nil, invalidKey("a key of scope %s belongs into %s", key.Scope, want)
	}
	if !rule.allows(key.Scope) {
		return nil, scopeMissing(rule, key.Scope)
	}
	return With(ctx, Principal{
		KeyID: key.ID, Scope: key.Scope, Account: key.Account, Line: key.Line, Models: key.Models, SpendPerDay: key.SpendPerDay,
		Priority: key.Priority,
	}), nil
}

// Trust lets other replicas call, with tokens that r finds good.
func (a *Authorizer) Trust(r Replicas) { a.replicas = r }

func (a *Authorizer) authorizeReplica(ctx context.Context, rule rule, tokens []string) (context.Context, error) {
	if a.replicas == nil || len(tokens) != 1 {
		return nil, invalidKey("only replicas of this operator may call this")
	}
	who, err := a.replicas.Verify(tokens[0], time.Now())
	if err != nil {
		return nil, invalidKey("the token of a replica is refused: %s", err)
	}
	ctx = context.WithValue(ctx, replicaKey{}, true)
	if rule.replica {
		return ctx, nil
	}
	obs.Annotate(ctx, slog.String(obs.KeyKeyID, who.KeyID), slog.String(obs.KeyAccountID, who.Account.String()))
	if !rule.allows(who.Scope) {
		return nil, scopeMissing(rule, who.Scope)
	}
	return With(ctx, who), nil
}

// Forget makes a revocation in this process count at once.
func (a *Authorizer) Forget(hash aitbc.Hash) { a.cache.Remove(hash) }

func (a *Authorizer) lookUp(ctx context.Context, hash aitbc.Hash, now time.Time) (store.Key, error) {
	entry, ok := a.cache.Get(hash)
	if !ok || !now.Before(entry.until) {
		key, err := a.keys.KeyByHash(ctx, hash)
		// Unknown keys are not remembered: they would push out the known.
		if errors.Is(err, store.ErrNotFound) {
			return store.Key{}, invalidKey("the key is unknown, revoked or expired")
		}
		if err != nil {
			return store.Key{}, fmt.Errorf("looking up an API key: %w", err)
		}
		entry = cached{key: key, until: now.Add(a.config.CacheFor)}
		a.cache.Add(hash, entry)
	}
	key := entry.key
	if !key.RevokedAt.IsZero() || (!key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt)) {
		return store.Key{}, invalidKey("the key is unknown, revoked or expired")
	}
	return key, nil
}

// credentialOf gives the one key of a call and the header it came in.
func credentialOf(ctx context.Context) (header, secret string, err error) {
	var found []string
	for _, name := range []string{apiKeyHeader, minerKeyHeader} {
		for _, value := range metadata.ValueFromIncomingContext(ctx, name) {
			found = append(found, value)
			header, secret = name, value
		}
	}
	switch {
	case len(found) == 0:
		return "", "", invalidKey("give a key in %s or %s", apiKeyHeader, minerKeyHeader)
	case len(found) > 1:
		return "", "", invalidKey("give one key, not %d", len(found))
	case secret == "" || len(secret) > maxKeyBytes:
		return "", "", invalidKey("the key is unknown, revoked or expired")
	}
	return header, secret, nil
}

func headerOf(scope store.Scope) string {
	if scope == store.ScopeMiner {
		return minerKeyHeader
	}
	return apiKeyHeader
}

func invalidKey(format string, args ...any) error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY, format, args...)
}

func scopeMissing(rule rule, have store.Scope) error {
	var wanted []string
	for _, scope := range rule.scopes {
		wanted = append(wanted, string(scope))
	}
	want := strings.Join(wanted, " or ")
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING,
		"this needs a key of scope %s; yours has %s", want, have).With("scope", want).With("have", string(have))
}
