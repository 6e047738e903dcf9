package account_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/account"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/ledgertest"
)

var client, operator = aitbc.AccountID{1}, aitbc.AccountID{2}

func inBubble(t *testing.T, test func(t *testing.T, chain *ledgertest.Chain, r *account.Reader)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := ledgertest.New("account-test")
		c, err := ledger.New(ledger.DefaultConfig(), chain, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		synctest.Wait()
		test(t, chain, account.NewReader(c, operator))
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestFundsAreReadOnceABlock(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, r *account.Reader) {
		funds, err := r.Funds(t.Context(), client)
		require.NoError(t, err, "an account that is not there has nothing")
		require.Equal(t, dispatch.Funds{}, funds)
		chain.Fund(client, 100)
		chain.Grant(client, operator, 40)
		chain.Block(time.Second)
		synctest.Wait()
		queries := 0
		chain.Hooks(func(ledgertest.Op) error { queries++; return nil }, nil)
		for range 5 {
			funds, err = r.Funds(t.Context(), client)
			require.NoError(t, err)
			require.Equal(t, dispatch.Funds{Balance: 100, Allowance: 40}, funds)
		}
		require.Equal(t, 2, queries)
	})
}

func TestAnotherOperatorsAllowanceIsNone(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, r *account.Reader) {
		chain.Fund(client, 100)
		chain.Grant(client, aitbc.AccountID{3}, 40)
		funds, err := r.Funds(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, dispatch.Funds{Balance: 100}, funds)
	})
}

func TestLedgerAwayIsSaidSo(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, r *account.Reader) {
		chain.Away(true)
		_, err := r.Funds(t.Context(), client)
		var away *ledger.UnavailableError
		require.ErrorAs(t, err, &away)
	})
}

func TestTermsAreTheParameters(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, r *account.Reader) {
		terms, err := r.Terms(t.Context())
		require.NoError(t, err)
		require.Equal(t, chain.Now(), terms.Now)
		require.Equal(t, aitbc.Amount(20_000), terms.Price)
		require.Equal(t, 2*time.Minute, terms.MinGrace)
		require.Equal(t, 10*time.Minute, terms.MaxExpiryAhead)
		stake, err := r.MinStake()
		require.NoError(t, err)
		require.Equal(t, aitbc.Amount(aitbc.UnitsPerCoin), stake)
	})
}

func TestMinersByTheirLedgerKey(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, r *account.Reader) {
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
		_, err := r.MinerKey(t.Context(), aitbc.AccountOf(key))
		var refused *job.Error
		require.True(t, errors.As(err, &refused))
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND, refused.Why)
		chain.Miner(key)
		got, stake, err := r.Miner(t.Context(), aitbc.AccountOf(key))
		require.NoError(t, err)
		require.Equal(t, key, got)
		require.Positive(t, stake)
	})
}
