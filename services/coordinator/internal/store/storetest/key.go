package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

func testKeys(t *testing.T, db Database) {
	st, ctx := db.Open(t), t.Context()
	full := store.Key{
		Hash: aitbc.Hash{1}, ID: "key_2", Name: "laptop", Scope: store.ScopeClient, Account: accountOf(1),
		CreatedAt: epoch(), ExpiresAt: epoch().Add(time.Hour), RevokedAt: epoch().Add(time.Minute),
		Line: "key_0", Models: []string{"tiny:latest", "b:1"}, SpendPerDay: 7, Priority: aitbc.PriorityHigh,
	}
	bare := store.Key{Hash: aitbc.Hash{2}, ID: "key_1", Line: "key_1", Scope: store.ScopeReader, CreatedAt: epoch()}
	for _, want := range []store.Key{full, bare} {
		require.NoError(t, st.PutKey(ctx, want))
		got, err := st.KeyByHash(ctx, want.Hash)
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = st.Key(ctx, want.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	list, err := st.ListKeys(ctx)
	require.NoError(t, err)
	require.Equal(t, []store.Key{bare, full}, list)

	require.NoError(t, st.RevokeKey(ctx, bare.ID, epoch().Add(time.Second)))
	require.NoError(t, st.RevokeKey(ctx, bare.ID, epoch().Add(time.Hour)))
	got, err := st.KeyByHash(ctx, bare.Hash)
	require.NoError(t, err)
	require.Equal(t, epoch().Add(time.Second), got.RevokedAt, "the first time stays")

	replaced := full
	replaced.Name, replaced.Scope, replaced.RevokedAt = "desktop", store.ScopeMiner, time.Time{}
	replaced.Line, replaced.Models, replaced.SpendPerDay, replaced.Priority = "key_2", nil, 0, aitbc.PriorityNormal
	require.NoError(t, st.PutKey(ctx, replaced))
	got, err = st.KeyByHash(ctx, full.Hash)
	require.NoError(t, err)
	require.Equal(t, replaced, got)
}

func testRotation(t *testing.T, db Database) {
	st, ctx := db.Open(t), t.Context()
	first := store.Key{Hash: aitbc.Hash{1}, ID: "key_1", Line: "key_1", Scope: store.ScopeClient, Account: accountOf(1), CreatedAt: epoch()}
	second := first
	second.Hash, second.ID = aitbc.Hash{2}, "key_2"
	require.NoError(t, st.PutKey(ctx, first))
	require.NoError(t, st.RotateKey(ctx, first.ID, epoch().Add(time.Hour), second))
	require.NoError(t, st.RotateKey(ctx, first.ID, epoch().Add(2*time.Hour), second), "a repeat")
	list, err := st.ListKeys(ctx)
	require.NoError(t, err)
	first.ExpiresAt = epoch().Add(time.Hour)
	require.Equal(t, []store.Key{first, second}, list, "the earlier end stays")

	third := first
	third.Hash, third.ID = aitbc.Hash{3}, "key_3"
	require.ErrorIs(t, st.RotateKey(ctx, "key_9", epoch(), third), store.ErrNotFound)
	_, err = st.KeyByHash(ctx, third.Hash)
	require.ErrorIs(t, err, store.ErrNotFound, "both or neither")
}

func testKeyRequests(t *testing.T, db Database) {
	st, ctx := db.Open(t), t.Context()
	first := store.KeyRequest{
		Account: accountOf(1), RequestID: "a", Hash: aitbc.Hash{1}, KeyID: "key_1", Seed: aitbc.Hash{2},
		CreatedAt: epoch(), ExpiresAt: epoch().Add(24 * time.Hour),
	}
	begin := func(r store.KeyRequest, now time.Time) (store.KeyRequest, bool) {
		found, begun, err := st.BeginKeyRequest(ctx, r, now, time.Minute)
		require.NoError(t, err)
		return found, begun
	}
	found, begun := begin(first, epoch())
	require.True(t, begun)
	require.Equal(t, first, found)

	again := first
	again.Hash, again.KeyID = aitbc.Hash{9}, "key_9"
	found, begun = begin(again, epoch().Add(time.Minute-1))
	require.False(t, begun, "somebody carries it out")
	require.Equal(t, first, found)
	found, begun = begin(again, epoch().Add(time.Minute))
	require.True(t, begun, "who did has taken too long")
	require.Equal(t, first, found)
	require.NoError(t, st.EndKeyRequest(ctx, first.Account, first.RequestID))
	require.NoError(t, st.EndKeyRequest(ctx, first.Account, "nobody's"))
	_, begun = begin(again, epoch().Add(time.Minute))
	require.True(t, begun)

	other := first
	other.Account = accountOf(3)
	found, begun = begin(other, epoch())
	require.True(t, begun, "the name is the account's")
	require.Equal(t, other, found)

	again.CreatedAt, again.ExpiresAt = epoch().Add(24*time.Hour), epoch().Add(48*time.Hour)
	found, begun = begin(again, again.CreatedAt)
	require.True(t, begun)
	require.Equal(t, again, found, "the first has expired")
}

func testSpending(t *testing.T, db Database) {
	st, ctx, today := db.Open(t), t.Context(), store.DayOf(epoch())
	requireSpent := func(budget string, day store.Day, want aitbc.Amount) {
		t.Helper()
		got, err := st.SpentOf(ctx, budget, day)
		require.NoError(t, err)
		require.Equal(t, want, got)
		update(t, st, func(tx store.Tx) (err error) {
			got, err = tx.Spent(budget, day)
			return err
		})
		require.Equal(t, want, got)
	}
	requireSpent("a", today, 0)
	var within aitbc.Amount
	update(t, st, func(tx store.Tx) error {
		require.NoError(t, tx.Spend("a", today, 5))
		require.NoError(t, tx.Spend("a", today, 2))
		require.NoError(t, tx.Spend("b", today, 1))
		var err error
		within, err = tx.Spent("a", today)
		return err
	})
	require.Equal(t, aitbc.Amount(7), within, "a transaction sees its own")
	requireSpent("a", today, 7)
	requireSpent("a", today+1, 0)
	requireSpent("b", today, 1)
	update(t, st, func(tx store.Tx) error { return tx.Spend("a", today, -3) })
	requireSpent("a", today, 4)
	update(t, st, func(tx store.Tx) error { return tx.Spend("a", today, -9) })
	requireSpent("a", today, 0)
	update(t, st, func(tx store.Tx) error { return tx.Spend("c", today, -9) })
	requireSpent("c", today, 0)
	require.Equal(t, time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), today.End())
}

// testSharedSpending has several stores spend of two budgets at once, a key's and an account's, which they
// come to in different orders.
func testSharedSpending(t *testing.T, db Database) {
	const each, limit = 20, 25
	today := store.DayOf(epoch())
	var mu sync.Mutex
	var spent aitbc.Amount
	var all sync.WaitGroup
	for i := range db.Replicas {
		st := db.Open(t)
		budgets := []string{"a", "b"}
		if i%2 == 1 {
			slices.Reverse(budgets)
		}
		all.Go(func() {
			for range each {
				done := false
				err := st.Update(t.Context(), func(tx store.Tx) (err error) {
					done, err = spendOfBoth(tx, budgets, today, limit)
					return err
				})
				if mu.Lock(); err == nil && done {
					spent++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Equal(t, aitbc.Amount(limit), spent)
	for _, budget := range []string{"a", "b"} {
		got, err := db.Open(t).SpentOf(t.Context(), budget, today)
		require.NoError(t, err)
		require.Equal(t, aitbc.Amount(limit), got)
	}
}

// spendOfBoth spends one unit of each budget, unless one of them has come to its limit.
func spendOfBoth(tx store.Tx, budgets []string, today store.Day, limit aitbc.Amount) (done bool, err error) {
	for _, budget := range budgets {
		before, err := tx.Spent(budget, today)
		if err != nil || before >= limit {
			return false, err
		}
	}
	for _, budget := range budgets {
		if err := tx.Spend(budget, today, 1); err != nil {
			return false, err
		}
	}
	return true, nil
}
