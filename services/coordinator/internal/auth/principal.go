package auth

import (
	"context"
	"slices"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Principal is who a call comes from.
type Principal struct {
	// KeyID names the key.
	KeyID string
	// Scope is what the key may be used for.
	Scope store.Scope
	// Account is whose key it is: a client's, a miner's or an admin's account.
	Account aitbc.AccountID
	// Line is the line of keys that it is of; Models, SpendPerDay and Priority are what it may ask for
	// and cost: see store.Key.
	Line        string
	Models      []string
	SpendPerDay aitbc.Amount
	Priority    aitbc.Priority
}

// MayAsk reports whether the key is for this model, by its full name.
func (p Principal) MayAsk(model string) bool {
	return len(p.Models) == 0 || slices.Contains(p.Models, model)
}

type principalKey struct{}

type replicaKey struct{}

// FromReplica reports whether another replica makes the call, for itself or for somebody.
func FromReplica(ctx context.Context) bool {
	from, _ := ctx.Value(replicaKey{}).(bool)
	return from
}

// With puts a principal into the context.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From gives the call's principal; ok is false in calls of open methods.
func From(ctx context.Context) (p Principal, ok bool) {
	p, ok = ctx.Value(principalKey{}).(Principal)
	return p, ok
}
