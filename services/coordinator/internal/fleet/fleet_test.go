package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/fleet"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// keys lists what the test says.
type keys struct {
	store.Keys
	list []store.Key
	err  error
}

func (k *keys) ListKeys(context.Context) ([]store.Key, error) { return k.list, k.err }

func TestAMinerBelongsWhileItHasAKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		live, expiring, client, revoked, newcomer := aitbc.AccountID{1}, aitbc.AccountID{2}, aitbc.AccountID{3}, aitbc.AccountID{4}, aitbc.AccountID{5}
		k := &keys{list: []store.Key{
			{Scope: store.ScopeMiner, Account: live},
			{Scope: store.ScopeMiner, Account: expiring, ExpiresAt: time.Now().Add(time.Minute)},
			{Scope: store.ScopeClient, Account: client},
			{Scope: store.ScopeMiner, Account: revoked, RevokedAt: time.Now()},
		}}
		f := fleet.New(k)
		belongs := func(id aitbc.AccountID) bool {
			_, stake, err := f.Miner(t.Context(), id)
			require.Zero(t, stake)
			return err == nil
		}
		require.True(t, belongs(live))
		require.True(t, belongs(expiring))
		require.False(t, belongs(client))
		require.False(t, belongs(revoked))

		k.list = append(k.list[1:], store.Key{Scope: store.ScopeMiner, Account: newcomer})
		<-time.After(2 * time.Second)
		require.True(t, belongs(newcomer), "its key is new")
		require.False(t, belongs(live))
		k.list = append(k.list, store.Key{Scope: store.ScopeMiner, Account: live})
		<-time.After(2 * time.Second)
		require.True(t, belongs(live))
		k.list = k.list[:len(k.list)-1]
		<-time.After(9 * time.Second)
		require.True(t, belongs(live), "believed for a while")
		<-time.After(time.Second)
		require.False(t, belongs(live))
		k.list = append(k.list, store.Key{Scope: store.ScopeMiner, Account: live})

		<-time.After(time.Minute)
		require.False(t, belongs(expiring))
		k.err = errors.New("the store is away")
		require.False(t, belongs(expiring), "the list is a moment old")
		<-time.After(time.Minute)
		_, _, err := f.Miner(t.Context(), live)
		require.ErrorIs(t, err, k.err)
	})
}

func TestChainIDIsTheOperators(t *testing.T) {
	t.Parallel()
	require.Equal(t, "private-010203000000", fleet.ChainID(aitbc.AccountID{1, 2, 3}))
}
