package account_test

import (
	"context"
	"crypto/ed25519"
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

func TestWhoCanPayForAJob(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		balance, allowance, price aitbc.Amount
		signed, want              bool
	}{
		"balance and allowance":              {balance: 5, allowance: 5, price: 5, want: true},
		"balance too small":                  {balance: 4, allowance: 5, price: 5},
		"allowance too small":                {balance: 5, allowance: 4, price: 5},
		"signed orders need no allowance":    {balance: 5, price: 5, signed: true, want: true},
		"signed orders still need a balance": {balance: 4, allowance: 9, price: 5, signed: true},
		"an account that is not there":       {price: 1, signed: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, chain *ledgertest.Chain, r *account.Reader) {
				if test.balance > 0 {
					chain.Fund(client, test.balance)
				}
				if test.allowance > 0 {
					chain.Grant(client, operator, test.allowance)
				}
				j := job.Job{Order: aitbc.Order{Client: client, MaxPrice: test.price}}
				if test.signed {
					j.OrderSignature = []byte{1}
				}
				covers, err := r.Covers(t.Context(), j)
				require.NoError(t, err)
				require.Equal(t, test.want, covers)
			})
		})
	}
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
		require.ErrorAs(t, err, &refused)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND, refused.Why)
		chain.Miner(key)
		got, stake, err := r.Miner(t.Context(), aitbc.AccountOf(key))
		require.NoError(t, err)
		require.Equal(t, key, got)
		require.Positive(t, stake)
	})
}
