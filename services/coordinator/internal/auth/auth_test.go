package auth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// ring is a store of keys that counts its look-ups.
type ring struct {
	mu    sync.Mutex
	keys  map[aitbc.Hash]store.Key
	asked int
	err   error
}

func (r *ring) KeyByHash(_ context.Context, hash aitbc.Hash) (store.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.err != nil {
		return store.Key{}, r.err
	}
	key, ok := r.keys[hash]
	if !ok {
		return key, store.ErrNotFound
	}
	return key, nil
}

func (r *ring) add(t *testing.T, scope store.Scope, life time.Duration) (string, store.Key) {
	t.Helper()
	id, err := auth.NewKeyID(time.Now())
	require.NoError(t, err)
	secret := auth.Secret(scope, [32]byte([]byte(rand.Text()+"and six")))
	key := auth.Terms{
		Name: "a name", Scope: scope, Account: aitbc.AccountID{1}, Models: []string{"tiny:latest"}, SpendPerDay: 5, Life: life,
	}.Key(id, secret, time.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[key.Hash] = key
	return secret, key
}

func newAuthorizer(t *testing.T) (*auth.Authorizer, *ring) {
	t.Helper()
	keys := &ring{keys: map[aitbc.Hash]store.Key{}}
	a, err := auth.New(auth.DefaultConfig(), keys)
	require.NoError(t, err)
	return a, keys
}

func call(ctx context.Context, header, secret string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(header, secret))
}

func reason(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	return apierr.Word(apierr.From(t.Context(), err).Reason)
}

func TestAGoodKeyGivesItsPrincipal(t *testing.T) {
	t.Parallel()
	a, keys := newAuthorizer(t)
	secret, key := keys.add(t, store.ScopeClient, 0)
	ctx, err := a.Authorize(call(t.Context(), "x-api-key", secret), coordinatorv1.JobService_GetJob_FullMethodName)
	require.NoError(t, err)
	principal, ok := auth.From(ctx)
	require.True(t, ok)
	require.Equal(t, auth.Principal{
		KeyID: key.ID, Scope: store.ScopeClient, Account: aitbc.AccountID{1}, Line: key.ID, Models: []string{"tiny:latest"}, SpendPerDay: 5,
	}, principal)
	require.True(t, principal.MayAsk("tiny:latest"))
	require.False(t, principal.MayAsk("tiny:other"))
	require.True(t, auth.Principal{}.MayAsk("any"))
}

func TestAMethodWithoutARuleIsRefused(t *testing.T) {
	t.Parallel()
	a, keys := newAuthorizer(t)
	secret, _ := keys.add(t, store.ScopeAdmin, 0)
	_, err := a.Authorize(call(t.Context(), "x-api-key", secret), "/aitbc.coordinator.v1.JobService/DeleteEverything")
	require.Equal(t, "SCOPE_MISSING", reason(t, err))
}

func TestOpenMethodsNeedNoKey(t *testing.T) {
	t.Parallel()
	a, _ := newAuthorizer(t)
	for _, method := range []string{
		coordinatorv1.SessionService_Connect_FullMethodName, "/grpc.health.v1.Health/Check",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	} {
		ctx, err := a.Authorize(t.Context(), method)
		require.NoError(t, err, method)
		_, ok := auth.From(ctx)
		require.False(t, ok)
	}
}

func TestAKeyExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, keys := newAuthorizer(t)
		secret, _ := keys.add(t, store.ScopeClient, time.Second)
		get := func() error {
			_, err := a.Authorize(call(t.Context(), "x-api-key", secret), coordinatorv1.JobService_GetJob_FullMethodName)
			return err
		}
		require.NoError(t, get())
		<-time.After(time.Second)
		require.Equal(t, "INVALID_KEY", reason(t, get()), "although it is remembered for two seconds")
	})
}

func TestARevocationCountsSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, keys := newAuthorizer(t)
		secret, key := keys.add(t, store.ScopeClient, 0)
		get := func() error {
			_, err := a.Authorize(call(t.Context(), "x-api-key", secret), coordinatorv1.JobService_GetJob_FullMethodName)
			return err
		}
		require.NoError(t, get())
		require.NoError(t, get())
		require.Equal(t, 1, keys.asked, "the second answer is remembered")
		key.RevokedAt = time.Now()
		keys.keys[key.Hash] = key
		require.NoError(t, get(), "revoked elsewhere: not known here yet")
		<-time.After(2 * time.Second)
		require.Equal(t, "INVALID_KEY", reason(t, get()))

		key.RevokedAt = time.Time{}
		keys.keys[key.Hash] = key
		a.Forget(key.Hash)
		require.NoError(t, get(), "forgotten: asked again at once")
	})
}

func TestAStoreThatFailsIsNoBadKey(t *testing.T) {
	t.Parallel()
	a, keys := newAuthorizer(t)
	keys.err = errors.New("disk gone")
	_, err := a.Authorize(call(t.Context(), "x-api-key", "anything"), coordinatorv1.JobService_GetJob_FullMethodName)
	require.Equal(t, "INTERNAL", reason(t, err))
	require.NotContains(t, err.Error(), "anything", "keys are never logged")
}

func TestAKeyIsItsSecretsHash(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	id, err := auth.NewKeyID(now)
	require.NoError(t, err)
	other, err := auth.NewKeyID(now)
	require.NoError(t, err)
	require.NotEqual(t, id, other)
	secret := auth.Secret(store.ScopeMiner, [32]byte{31: 1})
	require.Equal(t, "miner_"+strings.Repeat("a", 26), secret, "130 bits are shown")
	require.NotEqual(t, secret, auth.Secret(store.ScopeMiner, [32]byte{1}))
	key := auth.Terms{Scope: store.ScopeMiner, Name: "n", Account: aitbc.AccountID{1}, Life: time.Hour}.Key(id, secret, now)
	require.Equal(t, auth.HashKey(secret), key.Hash)
	require.Equal(t, id, key.Line)
	require.Equal(t, now.Truncate(time.Microsecond), key.CreatedAt)
	require.Equal(t, key.CreatedAt.Add(time.Hour), key.ExpiresAt)
	require.Zero(t, auth.Terms{}.Key(id, secret, now).ExpiresAt)
}

func TestBucketsFillUpAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := auth.NewLimiter(auth.LimitConfig{PerSecond: 2, Burst: 3, Keys: 2})
		require.NoError(t, err)
		as := func(key string) context.Context { return auth.With(t.Context(), auth.Principal{KeyID: key}) }
		for range 3 {
			require.NoError(t, l.Allow(as("a"), ""))
		}
		err = l.Allow(as("a"), "")
		require.Equal(t, "RATE_LIMITED", reason(t, err))
		require.Equal(t, 500*time.Millisecond, apierr.From(t.Context(), err).RetryAfter)
		require.Equal(t, "RATE_LIMITED", reason(t, l.Allow(as("a"), "")), "a refused call takes no token")
		<-time.After(500 * time.Millisecond)
		require.NoError(t, l.Allow(as("a"), ""))

		require.NoError(t, l.Allow(as("b"), ""))
		require.NoError(t, l.Allow(as("c"), ""))
		require.NoError(t, l.Allow(as("a"), ""), "forgotten for b and c: a full bucket")
		require.NoError(t, l.Allow(t.Context(), ""), "open methods are not limited")
	})
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	l, err := auth.NewLimiter(auth.LimitConfig{PerSecond: 0, Burst: 1, Keys: 1})
	require.NoError(t, err)
	for range 100 {
		require.NoError(t, l.Allow(auth.With(t.Context(), auth.Principal{KeyID: "a"}), ""))
	}
	_, err = auth.NewLimiter(auth.LimitConfig{PerSecond: -1})
	require.ErrorContains(t, err, "per second")
	require.ErrorContains(t, err, "burst")
	require.ErrorContains(t, err, "keys")
}
