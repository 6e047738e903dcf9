package custody_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// reopened is an issuer as another replica or a later process has it.
func (w *world) reopened(t *testing.T) *custody.Issuer {
	t.Helper()
	vault, err := custody.OpenVault(w.keyFile, w.store)
	require.NoError(t, err)
	again := *w.issuer
	again.Vault = vault
	return &again
}

func requireReason(t *testing.T, want string, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, apierr.Word(apierr.From(t.Context(), err).Reason), err)
}

func funded(requestID string, now time.Time) custody.Request {
	return custody.Request{
		Terms: auth.Terms{Scope: store.ScopeClient, Models: []string{"tiny:latest"}, SpendPerDay: 5}, Fund: 300, Now: now,
		Once: custody.Once{Account: aitbc.AccountID{9}, RequestID: requestID},
	}
}

func TestARepeatGivesTheSameKey(t *testing.T) {
	w := newWorld(t)
	w.chain.Fund(w.issuer.Operator.Account, 1000)
	first, err := w.issuer.Create(t.Context(), funded("a", epoch))
	require.NoError(t, err)
	repeat, err := w.reopened(t).Create(t.Context(), funded("a", epoch.Add(23*time.Hour)))
	require.NoError(t, err)
	require.Equal(t, first, repeat)
	require.Equal(t, aitbc.Amount(300), w.chain.Balance(first.Key.Account), "sent once")
	require.Equal(t, aitbc.Amount(1700), w.chain.Balance(w.issuer.Operator.Account))

	other := funded("a", epoch)
	other.SpendPerDay++
	_, err = w.issuer.Create(t.Context(), other)
	requireReason(t, "IDEMPOTENCY_MISMATCH", err)
	elsewhere := funded("a", epoch)
	elsewhere.Once.Account = aitbc.AccountID{8}
	another, err := w.issuer.Create(t.Context(), elsewhere)
	require.NoError(t, err)
	require.NotEqual(t, first.Secret, another.Secret, "another caller's")
	later, err := w.issuer.Create(t.Context(), funded("a", epoch.Add(24*time.Hour)))
	require.NoError(t, err)
	require.NotEqual(t, first.Secret, later.Secret, "forgotten after a day")
	unnamed, err := w.issuer.Create(t.Context(), funded("", epoch))
	require.NoError(t, err)
	again, err := w.issuer.Create(t.Context(), funded("", epoch))
	require.NoError(t, err)
	require.NotEqual(t, unnamed.Secret, again.Secret)
}

// failing is a ledger that does what it is told, and whose answer is lost.
type failing struct {
	custody.Ledger
	err error
}

func (f *failing) Execute(ctx context.Context, signer ledger.Signer, messages ...*ledgerv1.Message) error {
	if f.err == nil {
		return f.Ledger.Execute(ctx, signer, messages...)
	}
	return errors.Join(f.err, f.Ledger.Execute(ctx, signer, messages...))
}

func TestTokensAreNotSentTwice(t *testing.T) {
	w := newWorld(t)
	ledger := &failing{Ledger: w.client, err: errors.New("the connection broke")}
	w.issuer.Ledger = ledger
	_, err := w.issuer.Create(t.Context(), funded("a", epoch))
	require.ErrorContains(t, err, "the connection broke")
	ledger.err = nil
	_, err = w.issuer.Create(t.Context(), funded("a", epoch.Add(time.Minute-1)))
	requireReason(t, "OVERLOADED", err)
	issued, err := w.reopened(t).Create(t.Context(), funded("a", epoch.Add(time.Minute)))
	require.NoError(t, err)
	require.Equal(t, aitbc.Amount(300), w.chain.Balance(issued.Key.Account))
	require.Equal(t, aitbc.Amount(700), w.chain.Balance(w.issuer.Operator.Account))
	_, err = w.client.Allowance(t.Context(), issued.Key.Account, w.issuer.Operator.Account)
	require.NoError(t, err)
}

func TestARefusalMayBeTriedAgainAtOnce(t *testing.T) {
	w := newWorld(t)
	poor := funded("a", epoch)
	poor.Fund = 1001
	_, err := w.issuer.Create(t.Context(), poor)
	requireReason(t, "INSUFFICIENT_FUNDS", err)
	w.chain.Fund(w.issuer.Operator.Account, 1)
	_, err = w.issuer.Create(t.Context(), poor)
	require.NoError(t, err)
}

func TestRotationKeepsTwoKeysForAWhile(t *testing.T) {
	w := newWorld(t)
	request := funded("", epoch)
	request.Life = 90 * 24 * time.Hour
	first, err := w.issuer.Create(t.Context(), request)
	require.NoError(t, err)
	rotation := custody.Rotation{KeyID: first.Key.ID, Grace: time.Hour, Now: epoch.Add(48 * time.Hour), Once: custody.Once{RequestID: "r"}}
	second, replaced, err := w.issuer.Rotate(t.Context(), rotation)
	require.NoError(t, err)
	require.NotEqual(t, first.Secret, second.Secret)
	require.Equal(t, rotation.Now.Add(time.Hour), replaced.ExpiresAt)
	require.Equal(t, custody.StateLive, custody.StateOf(replaced, rotation.Now.Add(time.Hour-1)))
	require.Equal(t, custody.StateExpired, custody.StateOf(replaced, rotation.Now.Add(time.Hour)))
	next := second.Key
	require.Equal(t, first.Key.ID, next.Line)
	require.Equal(t, rotation.Now.Add(request.Life), next.ExpiresAt, "as long as the first")
	require.Equal(t, []any{first.Key.Account, first.Key.Models, first.Key.SpendPerDay, first.Key.Scope},
		[]any{next.Account, next.Models, next.SpendPerDay, next.Scope})
	require.True(t, second.Custodial)

	repeat, _, err := w.reopened(t).Rotate(t.Context(), rotation)
	require.NoError(t, err)
	require.Equal(t, second, repeat)
	rotation.Grace++
	_, _, err = w.issuer.Rotate(t.Context(), rotation)
	requireReason(t, "IDEMPOTENCY_MISMATCH", err)
	_, _, err = w.issuer.Rotate(t.Context(), custody.Rotation{KeyID: first.Key.ID, Now: epoch.Add(72 * time.Hour)})
	requireReason(t, "WRONG_STATE", err)
	_, _, err = w.issuer.Rotate(t.Context(), custody.Rotation{KeyID: "key_none"})
	requireReason(t, "KEY_NOT_FOUND", err)
}

func TestARevokedKeyStaysRevoked(t *testing.T) {
	w := newWorld(t)
	first, err := w.issuer.Create(t.Context(), funded("a", epoch))
	require.NoError(t, err)
	revoked, err := w.issuer.Revoke(t.Context(), first.Key.ID, epoch.Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, custody.StateRevoked, custody.StateOf(revoked, epoch))
	again, err := w.issuer.Revoke(t.Context(), first.Key.ID, epoch.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, revoked, again)
	repeat, err := w.issuer.Create(t.Context(), funded("a", epoch.Add(time.Hour)))
	require.NoError(t, err)
	require.Equal(t, revoked, repeat.Key, "a repeat of its making gives it no new life")
	_, err = w.issuer.Revoke(t.Context(), "key_none", epoch)
	requireReason(t, "KEY_NOT_FOUND", err)
	require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_KEY_NOT_FOUND, apierr.From(t.Context(), err).Reason)
}
