package aitbc

import (
	"context"
	"crypto/rand"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Scope is what an API key may be used for.
type Scope string

// The scopes. A client submits jobs; a reader reads what a client of the account may; an admin makes
// keys.
const (
	ScopeClient Scope = "client"
	ScopeReader Scope = "reader"
	ScopeMiner  Scope = "miner"
	ScopeAdmin  Scope = "admin"
)

// KeyState is whether an API key works.
type KeyState string

// The states of an API key.
const (
	KeyLive    KeyState = "live"
	KeyExpired KeyState = "expired"
	KeyRevoked KeyState = "revoked"
)

// APIKey is an API key without its secret. Its JSON is the contract's.
type APIKey struct {
	// ID names it in lists; Name is for people.
	ID   string `json:"key_id"`
	Name string `json:"name"`
	// Scope is what it may be used for, Account whose it is.
	Scope   Scope     `json:"scope"`
	Account AccountID `json:"account_id"`
	// State is whether it works.
	State KeyState `json:"state"`
	// Models are the models that its jobs may ask for; none: all.
	Models []string `json:"models,omitempty"`
	// SpendPerDay is what its jobs of one day (UTC) may cost; zero: no limit. SpentToday is what
	// those of today may cost or have cost, with those of the other keys of its line.
	SpendPerDay Amount `json:"spend_per_day,omitzero"`
	SpentToday  Amount `json:"spent_today,omitzero"`
	// Priority is the highest that its jobs may have.
	Priority Priority `json:"priority"`
	// Line is the first key of those that came from each other by rotation.
	Line string `json:"line"`
	// CreatedTime is when it was made; ExpiresTime when it ends by itself and RevokedTime when it was
	// revoked, zero: not.
	CreatedTime time.Time `json:"created_at"`
	ExpiresTime time.Time `json:"expires_at,omitzero"`
	RevokedTime time.Time `json:"revoked_at,omitzero"`
}

// NewAPIKey is an API key that was just made.
type NewAPIKey struct {
	// Secret is the key itself. It is in this answer only.
	Secret string `json:"secret"`
	// Key describes it.
	Key *APIKey `json:"key"`
	// Custodial says that the operator made and holds the account's ledger key.
	Custodial bool `json:"custodial,omitempty"`
	// Replaced is the key that it was rotated from; nil: none.
	Replaced *APIKey `json:"replaced,omitempty"`
}

// CreateKeyRequest says what an API key is for.
type CreateKeyRequest struct {
	// Name is what to call it in lists.
	Name string
	// Scope is what it may be used for. Zero: [ScopeClient].
	Scope Scope
	// Account is whose it is. Zero: for a client a new account, whose ledger key the operator keeps; for
	// an admin the operator's.
	Account AccountID
	// Models are the models that its jobs may ask for; none: all.
	Models []string
	// SpendPerDay is what its jobs of one day (UTC) may cost; zero: no limit.
	SpendPerDay Amount
	// Priority is the highest that its jobs may have.
	Priority Priority
	// Life is how long it is valid, at least a second; zero: until revoked.
	Life time.Duration
	// Fund is sent from the operator to a new account.
	Fund Amount
	// RequestID makes it safe to ask again: the same id within 24 h gives the same key. Empty: made at
	// random for each call of CreateKey, so that its own retries are safe.
	RequestID string
}

// CreateKey makes an API key. It needs an admin's key, as all calls about keys do. Reasons:
// INVALID_FIELD, SCOPE_MISSING, IDEMPOTENCY_MISMATCH, INSUFFICIENT_FUNDS (the operator has not got
// Fund), OVERLOADED (a call with this RequestID is under way).
func (c *Client) CreateKey(ctx context.Context, req CreateKeyRequest) (*NewAPIKey, error) {
	m := &coordinatorv1.CreateKeyRequest{
		Name: req.Name, Scope: string(req.Scope), Models: req.Models, SpendPerDay: coinText(req.SpendPerDay), Fund: coinText(req.Fund),
		Life: spanMessage(req.Life), RequestId: orRandom(req.RequestID),
	}
	if req.Priority != PriorityNormal {
		m.Priority = req.Priority.String()
	}
	if !req.Account.IsZero() {
		m.AccountId = req.Account.String()
	}
	answer, err := c.keys.CreateKey(ctx, m)
	if err != nil {
		return nil, err
	}
	key, err := apiKeyOf(answer.GetKey())
	return &NewAPIKey{Secret: answer.GetSecret(), Key: key, Custodial: answer.GetCustodial()}, err
}

// Keys gives all API keys, the oldest first, without their secrets. It fetches a page at a time, as far
// as it is read. An error is the last thing given.
func (c *Client) Keys(ctx context.Context) iter.Seq2[*APIKey, error] {
	return pages(func(token string) ([]*coordinatorv1.Key, string, error) {
		answer, err := c.keys.ListKeys(ctx, &coordinatorv1.ListKeysRequest{PageToken: token})
		return answer.GetKeys(), answer.GetNextPageToken(), err
	}, apiKeyOf)
}

// RotateKeyRequest names an API key to replace.
type RotateKeyRequest struct {
	// ID is the key's.
	ID string
	// Grace is how long it goes on working, at most 30 days. Zero: 24 h; negative: not at all.
	Grace time.Duration
	// Life is how long the new key is valid. Zero: as long as the old one was given.
	Life time.Duration
	// RequestID is that of [CreateKeyRequest].
	RequestID string
}

// RotateKey makes a key's successor, with the same rights; both work for a grace time. Reasons:
// INVALID_FIELD, SCOPE_MISSING, KEY_NOT_FOUND, WRONG_STATE (it has ended), IDEMPOTENCY_MISMATCH,
// OVERLOADED.
func (c *Client) RotateKey(ctx context.Context, req RotateKeyRequest) (*NewAPIKey, error) {
	m := &coordinatorv1.RotateKeyRequest{KeyId: req.ID, Grace: spanMessage(max(req.Grace, 0)), Life: spanMessage(req.Life), RequestId: orRandom(req.RequestID)}
	if req.Grace < 0 {
		m.Grace = durationpb.New(0)
	}
	answer, err := c.keys.RotateKey(ctx, m)
	if err != nil {
		return nil, err
	}
	key, err := apiKeyOf(answer.GetKey())
	if err != nil {
		return nil, err
	}
	replaced, err := apiKeyOf(answer.GetReplaced())
	return &NewAPIKey{Secret: answer.GetSecret(), Key: key, Replaced: replaced}, err
}

// RevokeKey ends a key: within 2 s nobody takes it any more. Reasons: SCOPE_MISSING, KEY_NOT_FOUND.
func (c *Client) RevokeKey(ctx context.Context, id string) (*APIKey, error) {
	answer, err := c.keys.RevokeKey(ctx, &coordinatorv1.RevokeKeyRequest{KeyId: id})
	if err != nil {
		return nil, err
	}
	return apiKeyOf(answer.GetKey())
}

func apiKeyOf(m *coordinatorv1.Key) (*APIKey, error) {
	var f fieldReader
	key := &APIKey{
		ID: m.GetKeyId(), Name: m.GetName(), Scope: Scope(m.GetScope()), State: KeyState(m.GetState()), Models: m.GetModels(), Line: m.GetLine(),
		CreatedTime: instant(m.GetCreatedAt()), ExpiresTime: instant(m.GetExpiresAt()), RevokedTime: instant(m.GetRevokedAt()),
		SpendPerDay: f.amount("spend_per_day", m.GetSpendPerDay()), SpentToday: f.amount("spent_today", m.GetSpentToday()),
	}
	key.Priority = f.priority(m.GetPriority())
	if m.GetAccountId() != "" {
		key.Account = f.account("account_id", m.GetAccountId())
	}
	return key, f.err()
}

// coinText gives an amount as the contract has it; zero is left out.
func coinText(a Amount) string {
	if a == 0 {
		return ""
	}
	return a.String()
}

// spanMessage gives a span as the contract has it; zero is left out.
func spanMessage(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func orRandom(requestID string) string {
	if requestID == "" {
		return rand.Text()
	}
	return requestID
}
