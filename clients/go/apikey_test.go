package aitbc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

func TestKeysAreMadeListedRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]func(*aitbctest.Server) string{"REST": (*aitbctest.Server).URL, "gRPC": (*aitbctest.Server).Target} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := target(startServer(t, aitbctest.Config{}))
			admin := newClient(t, at, aitbc.WithAPIKey(aitbctest.AdminKey))
			want := aitbc.CreateKeyRequest{
				Name: "shop", Models: []string{"llama3.2:latest"}, SpendPerDay: 2 * aitbc.UnitsPerCoin, Life: time.Hour, RequestID: "once",
			}
			made, err := admin.CreateKey(t.Context(), want)
			require.NoError(t, err)
			require.Regexp(t, "^client_[a-z2-7]{26}$", made.Secret)
			require.True(t, made.Custodial)
			key := made.Key
			require.Equal(t, []any{"shop", aitbc.ScopeClient, aitbc.KeyLive, want.Models, want.SpendPerDay, key.ID},
				[]any{key.Name, key.Scope, key.State, key.Models, key.SpendPerDay, key.Line})
			require.Equal(t, time.Hour, key.ExpiresTime.Sub(key.CreatedTime))
			again, err := admin.CreateKey(t.Context(), want)
			require.NoError(t, err)
			require.Equal(t, made, again)
			want.Name = "another"
			_, err = admin.CreateKey(t.Context(), want)
			requireReason(t, err, aitbc.ReasonIdempotencyMismatch)

			rotated, err := admin.RotateKey(t.Context(), aitbc.RotateKeyRequest{ID: key.ID, Grace: -1})
			require.NoError(t, err)
			require.Equal(t, key.ID, rotated.Key.Line)
			require.Equal(t, key.ID, rotated.Replaced.ID)
			require.NotEqual(t, made.Secret, rotated.Secret)
			require.WithinDuration(t, time.Now(), rotated.Replaced.ExpiresTime, time.Minute)
			revoked, err := admin.RevokeKey(t.Context(), key.ID)
			require.NoError(t, err)
			require.Equal(t, aitbc.KeyRevoked, revoked.State)
			_, err = admin.RevokeKey(t.Context(), "key_none")
			requireReason(t, err, aitbc.ReasonKeyNotFound)

			var ids []string
			for k, err := range admin.Keys(t.Context()) {
				require.NoError(t, err)
				ids = append(ids, k.ID)
			}
			require.Equal(t, []string{key.ID, rotated.Key.ID}, ids)
			_, err = newClient(t, at).CreateKey(t.Context(), aitbc.CreateKeyRequest{})
			requireReason(t, err, aitbc.ReasonScopeMissing)
		})
	}
}

func TestASubmissionTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	onBoth(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		submission, err := client.Submit(t.Context(), question)
		require.NoError(t, err)
		require.Equal(t, ptr(100*aitbc.Amount(aitbc.UnitsPerCoin)), submission.Available)
	})
}
