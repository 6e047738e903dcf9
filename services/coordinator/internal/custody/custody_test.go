package custody_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/ledgertest"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/sqlite"
)

// world is an issuer with a real store and a ledger in memory.
type world struct {
	chain   *ledgertest.Chain
	client  *ledger.Client
	store   *sqlite.Store
	keyFile string
	issuer  *custody.Issuer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	folder := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(folder, "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	w := &world{chain: ledgertest.New("custody-test"), store: s, keyFile: filepath.Join(folder, custody.KeyFile)}
	w.client, err = ledger.New(ledger.DefaultConfig(), w.chain, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.client.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	vault, err := custody.OpenVault(w.keyFile, s)
	require.NoError(t, err)
	operator := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signer := ledger.Signer{Account: aitbc.AccountOf(operator.Public().(ed25519.PublicKey)), Key: operator}
	w.chain.Fund(signer.Account, 1000)
	w.issuer = &custody.Issuer{Keys: s, Vault: vault, Ledger: w.client, Operator: signer}
	return w
}

func TestCustodialClientCanSpendAtOnce(t *testing.T) {
	w := newWorld(t)
	issued, err := w.issuer.Create(t.Context(), custody.Request{
		Terms: auth.Terms{Name: "shop", Scope: store.ScopeClient, Life: time.Hour}, Fund: 300, Now: time.Now(),
	})
	require.NoError(t, err)
	require.True(t, issued.Custodial)
	account := issued.Key.Account
	require.Equal(t, aitbc.Amount(300), w.chain.Balance(account))
	require.Equal(t, aitbc.Amount(700), w.chain.Balance(w.issuer.Operator.Account))
	grant, err := w.client.Allowance(t.Context(), account, w.issuer.Operator.Account)
	require.NoError(t, err)
	require.Greater(t, grant.GetRemainingUaitbc(), int64(300))
	kept, err := w.store.KeyByHash(t.Context(), auth.HashKey(issued.Secret))
	require.NoError(t, err)
	require.Equal(t, account, kept.Account)
	require.Equal(t, store.ScopeClient, kept.Scope)
	require.False(t, kept.ExpiresAt.IsZero())
	key, err := w.issuer.Vault.Key(t.Context(), account)
	require.NoError(t, err)
	require.Equal(t, account, aitbc.AccountOf(key.Public().(ed25519.PublicKey)))
}

func TestClientWithItsOwnAccountKeepsItsKey(t *testing.T) {
	w := newWorld(t)
	own := aitbc.AccountID{7}
	issued, err := w.issuer.Create(t.Context(), custody.Request{
		Terms: auth.Terms{Scope: store.ScopeClient, Account: own}, Fund: 10, Now: time.Now(),
	})
	require.NoError(t, err)
	require.False(t, issued.Custodial)
	require.Equal(t, own, issued.Key.Account)
	require.Equal(t, aitbc.Amount(10), w.chain.Balance(own))
	_, err = w.issuer.Vault.Key(t.Context(), own)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = w.client.Allowance(t.Context(), own, w.issuer.Operator.Account)
	require.ErrorIs(t, err, ledger.ErrNotFound)
}

func TestAdminsKeyIsTheOperators(t *testing.T) {
	w := newWorld(t)
	issued, err := w.issuer.Create(t.Context(), custody.Request{Terms: auth.Terms{Scope: store.ScopeAdmin}, Now: time.Now()})
	require.NoError(t, err)
	require.Equal(t, w.issuer.Operator.Account, issued.Key.Account)
	require.Zero(t, w.chain.Broadcasts())
}

func TestRequestsThatMakeNoKey(t *testing.T) {
	w := newWorld(t)
	for name, r := range map[string]custody.Request{
		"unknown scope":          {Terms: auth.Terms{Scope: "root"}},
		"miner without account":  {Terms: auth.Terms{Scope: store.ScopeMiner}},
		"reader without account": {Terms: auth.Terms{Scope: store.ScopeReader}},
		"miner with a budget":    {Terms: auth.Terms{Scope: store.ScopeMiner, Account: aitbc.AccountID{7}, SpendPerDay: 1}},
		"negative budget":        {Terms: auth.Terms{Scope: store.ScopeClient, SpendPerDay: -1}},
		"negative life":          {Terms: auth.Terms{Scope: store.ScopeClient, Life: -1}},
		"negative tokens":        {Terms: auth.Terms{Scope: store.ScopeClient}, Fund: -1},
		"more than there is":     {Terms: auth.Terms{Scope: store.ScopeClient}, Fund: 1001},
		"tokens whose repeat would not be seen": {
			Terms: auth.Terms{Scope: store.ScopeClient, Account: aitbc.AccountID{7}}, Fund: 1, Once: custody.Once{RequestID: "a"},
		},
	} {
		_, err := w.issuer.Create(t.Context(), r)
		require.Error(t, err, name)
	}
	keys, err := w.store.ListKeys(t.Context())
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestTokensFollowADurableKey(t *testing.T) {
	w := newWorld(t)
	vault, err := custody.OpenVault(w.keyFile, w.store)
	require.NoError(t, err)
	account, err := vault.Create(t.Context(), aitbc.Hash{1})
	require.NoError(t, err)
	key, err := vault.Key(t.Context(), account)
	require.NoError(t, err)
	same, err := vault.Create(t.Context(), aitbc.Hash{1})
	require.NoError(t, err)
	require.Equal(t, account, same)
	again, err := custody.OpenVault(w.keyFile, w.store) // as after a crash
	require.NoError(t, err)
	opened, err := again.Key(t.Context(), account)
	require.NoError(t, err)
	require.Equal(t, key, opened)
}

func TestSealedKeyOpensOnlyForItsAccountAndFile(t *testing.T) {
	w := newWorld(t)
	one, err := w.issuer.Vault.Create(t.Context(), aitbc.Hash{1})
	require.NoError(t, err)
	other, err := w.issuer.Vault.Create(t.Context(), aitbc.Hash{2})
	require.NoError(t, err)
	sealed, err := w.store.AccountKey(t.Context(), one)
	require.NoError(t, err)
	require.NoError(t, w.store.PutAccountKey(t.Context(), other, sealed))
	_, err = w.issuer.Vault.Key(t.Context(), other)
	require.ErrorIs(t, err, custody.ErrSealed)
	for _, bytes := range [][]byte{{}, {9}, sealed[:len(sealed)-1]} {
		require.NoError(t, w.store.PutAccountKey(t.Context(), other, append([]byte{9}, bytes...)))
		_, err = w.issuer.Vault.Key(t.Context(), other)
		require.ErrorIs(t, err, custody.ErrSealed)
	}
	stranger, err := custody.OpenVault(filepath.Join(t.TempDir(), "custody.key"), w.store)
	require.NoError(t, err)
	_, err = stranger.Key(t.Context(), one)
	require.ErrorIs(t, err, custody.ErrSealed)
	info, err := os.Stat(w.keyFile)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
