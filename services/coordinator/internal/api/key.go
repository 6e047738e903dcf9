package api

import (
	"context"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

type keyServer struct {
	coordinatorv1.UnimplementedKeyServiceServer
	deps Deps
}

// CreateKey implements KeyService.
func (s *keyServer) CreateKey(ctx context.Context, r *coordinatorv1.CreateKeyRequest) (*coordinatorv1.CreateKeyResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	terms, err := termsOf(r)
	if err != nil {
		return nil, err
	}
	fund, err := coins("fund", r.GetFund())
	if err != nil {
		return nil, err
	}
	if fund > 0 && !terms.Account.IsZero() {
		return nil, apierr.InvalidField("fund", "is for a new account only: leave account_id out, or send tokens by `aitbcd coordinator keys fund`")
	}
	now := time.Now()
	made, err := s.deps.Keys.Create(ctx, custody.Request{
		Terms: terms, Fund: fund, Once: custody.Once{Account: who.Account, RequestID: r.GetRequestId()}, Now: now,
	})
	if err != nil {
		return nil, err
	}
	key, err := s.message(ctx, made.Key, now)
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.CreateKeyResponse{Secret: made.Secret, Key: key, Custodial: made.Custodial}, nil
}

func termsOf(r *coordinatorv1.CreateKeyRequest) (auth.Terms, error) {
	terms := auth.Terms{Name: r.GetName(), Scope: store.Scope(r.GetScope()), Life: r.GetLife().AsDuration()}
	if terms.Scope == "" {
		terms.Scope = store.ScopeClient
	}
	for _, model := range r.GetModels() {
		terms.Models = append(terms.Models, dispatch.FullName(model))
	}
	var err error
	if text := r.GetAccountId(); text != "" {
		if terms.Account, err = aitbc.ParseAccountID(text); err != nil {
			return terms, apierr.InvalidField("account_id", "must be an address, such as GET /v1/account shows").WithCause(err)
		}
	}
	if terms.SpendPerDay, err = coins("spend_per_day", r.GetSpendPerDay()); err != nil {
		return terms, err
	}
	terms.Priority, err = priority(r.GetPriority())
	return terms, err
}

// coins reads coin text; empty is nothing.
func coins(field, text string) (aitbc.Amount, error) {
	if text == "" {
		return 0, nil
	}
	amount, err := aitbc.ParseAmount(text)
	if err != nil || amount <= 0 {
		return 0, apierr.InvalidField(field, "must be coin text above zero with at most six decimals, such as \"0.25aitbc\"").WithCause(err)
	}
	return amount, nil
}

// ListKeys implements KeyService.
func (s *keyServer) ListKeys(ctx context.Context, r *coordinatorv1.ListKeysRequest) (*coordinatorv1.ListKeysResponse, error) {
	keys, err := s.deps.Keys.List(ctx)
	if err != nil {
		return nil, err
	}
	part, next, err := page(keys, func(k store.Key) string { return k.ID }, "keys", r.GetPageToken(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	response := &coordinatorv1.ListKeysResponse{NextPageToken: next}
	now := time.Now()
	for _, key := range part {
		message, err := s.message(ctx, key, now)
		if err != nil {
			return nil, err
		}
		response.Keys = append(response.Keys, message)
	}
	return response, nil
}

// RotateKey implements KeyService.
func (s *keyServer) RotateKey(ctx context.Context, r *coordinatorv1.RotateKeyRequest) (*coordinatorv1.RotateKeyResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	grace := custody.DefaultGrace
	if r.GetGrace() != nil {
		grace = r.GetGrace().AsDuration()
	}
	now := time.Now()
	made, old, err := s.deps.Keys.Rotate(ctx, custody.Rotation{
		KeyID: r.GetKeyId(), Grace: grace, Life: r.GetLife().AsDuration(), Once: custody.Once{Account: who.Account, RequestID: r.GetRequestId()}, Now: now,
	})
	if err != nil {
		return nil, err
	}
	key, err := s.message(ctx, made.Key, now)
	if err != nil {
		return nil, err
	}
	replaced, err := s.message(ctx, old, now)
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.RotateKeyResponse{Secret: made.Secret, Key: key, Replaced: replaced}, nil
}

// RevokeKey implements KeyService.
func (s *keyServer) RevokeKey(ctx context.Context, r *coordinatorv1.RevokeKeyRequest) (*coordinatorv1.RevokeKeyResponse, error) {
	now := time.Now()
	key, err := s.deps.Keys.Revoke(ctx, r.GetKeyId(), now)
	if err != nil {
		return nil, err
	}
	message, err := s.message(ctx, key, now)
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.RevokeKeyResponse{Key: message}, nil
}

// message is a key as an admin sees it.
func (s *keyServer) message(ctx context.Context, key store.Key, now time.Time) (*coordinatorv1.Key, error) {
	message := &coordinatorv1.Key{
		KeyId:     key.ID,
		Name:      key.Name,
		Scope:     string(key.Scope),
		AccountId: accountOrEmpty(key.Account),
		State:     custody.StateOf(key, now),
		Models:    key.Models,
		Line:      key.Line,
		Priority:  key.Priority.String(),
		CreatedAt: stamp(key.CreatedAt),
		ExpiresAt: stamp(key.ExpiresAt),
		RevokedAt: stamp(key.RevokedAt),
	}
	if key.SpendPerDay > 0 {
		spent, err := s.deps.Reader.SpentOf(ctx, key.Line, store.DayOf(now))
		if err != nil {
			return nil, err
		}
		message.SpendPerDay, message.SpentToday = key.SpendPerDay.String(), spent.String()
	}
	return message, nil
}
