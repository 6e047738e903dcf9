package aitbctest

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const defaultGrace = 24 * time.Hour

// apiKey is a key that was made, with what made it.
type apiKey struct {
	key     *coordinatorv1.Key
	secret  string
	request proto.Message
}

type keyService struct {
	coordinatorv1.UnimplementedKeyServiceServer
	book *book
}

// CreateKey makes a key of the one account.
func (s keyService) CreateKey(_ context.Context, r *coordinatorv1.CreateKeyRequest) (*coordinatorv1.CreateKeyResponse, error) {
	scope := r.GetScope()
	if scope == "" {
		scope = string(aitbc.ScopeClient)
	}
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	made, err := s.book.once(r.GetRequestId(), r, func(now time.Time) *coordinatorv1.Key {
		key := &coordinatorv1.Key{Name: r.GetName(), Scope: scope, AccountId: r.GetAccountId(), Models: r.GetModels(), SpendPerDay: r.GetSpendPerDay(), Priority: cmp.Or(r.GetPriority(), "normal")}
		if key.GetAccountId() == "" {
			key.AccountId = s.book.parties.client.account.String()
		}
		if key.GetSpendPerDay() != "" {
			key.SpentToday = aitbc.Amount(0).String()
		}
		if r.GetLife() != nil {
			key.ExpiresAt = timestamppb.New(now.Add(r.GetLife().AsDuration()))
		}
		return key
	})
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.CreateKeyResponse{Secret: made.secret, Key: made.key, Custodial: scope == string(aitbc.ScopeClient) && r.GetAccountId() == ""}, nil
}

// ListKeys gives the keys that were made, on one page.
func (s keyService) ListKeys(context.Context, *coordinatorv1.ListKeysRequest) (*coordinatorv1.ListKeysResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	answer := &coordinatorv1.ListKeysResponse{}
	for _, k := range s.book.keys {
		answer.Keys = append(answer.Keys, k.key)
	}
	return answer, nil
}

// RotateKey makes a successor.
func (s keyService) RotateKey(_ context.Context, r *coordinatorv1.RotateKeyRequest) (*coordinatorv1.RotateKeyResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	old, err := s.book.key(r.GetKeyId())
	if err != nil {
		return nil, err
	}
	grace := defaultGrace
	if r.GetGrace() != nil {
		grace = r.GetGrace().AsDuration()
	}
	made, err := s.book.once(r.GetRequestId(), r, func(now time.Time) *coordinatorv1.Key {
		next := proto.Clone(old).(*coordinatorv1.Key)
		next.ExpiresAt = nil
		if r.GetLife() != nil {
			next.ExpiresAt = timestamppb.New(now.Add(r.GetLife().AsDuration()))
		}
		old.ExpiresAt = timestamppb.New(now.Add(grace))
		return next
	})
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.RotateKeyResponse{Secret: made.secret, Key: made.key, Replaced: old}, nil
}

// RevokeKey ends a key in the list.
func (s keyService) RevokeKey(_ context.Context, r *coordinatorv1.RevokeKeyRequest) (*coordinatorv1.RevokeKeyResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	key, err := s.book.key(r.GetKeyId())
	if err != nil {
		return nil, err
	}
	if key.GetRevokedAt() == nil {
		key.State, key.RevokedAt = string(aitbc.KeyRevoked), timestamppb.Now()
	}
	return &coordinatorv1.RevokeKeyResponse{Key: key}, nil
}

func (b *book) key(id string) (*coordinatorv1.Key, error) {
	i := slices.IndexFunc(b.keys, func(k *apiKey) bool { return k.key.GetKeyId() == id })
	if i < 0 {
		return nil, refusal(aitbc.ReasonKeyNotFound, codes.NotFound, "there is no key "+id)
	}
	return b.keys[i].key, nil
}

// once makes a key, unless this request id has made one.
func (b *book) once(requestID string, request proto.Message, describe func(now time.Time) *coordinatorv1.Key) (*apiKey, error) {
	for _, k := range b.keys {
		if asked, ok := k.request.(interface{ GetRequestId() string }); ok && requestID != "" && asked.GetRequestId() == requestID {
			if !proto.Equal(k.request, request) {
				return nil, refusal(aitbc.ReasonIdempotencyMismatch, codes.AlreadyExists, "the request id was used for another request")
			}
			return k, nil
		}
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	id, err := aitbc.NewJobID(now, rand.Reader)
	if err != nil {
		return nil, err
	}
	key := describe(now)
	key.KeyId = "key_" + strings.TrimPrefix(id.String(), "job_")
	if key.GetLine() == "" {
		key.Line = key.GetKeyId()
	}
	key.State, key.CreatedAt = string(aitbc.KeyLive), timestamppb.New(now)
	made := &apiKey{key: key, secret: key.GetScope() + "_" + strings.ToLower(rand.Text()), request: request}
	b.keys = append(b.keys, made)
	return made, nil
}
