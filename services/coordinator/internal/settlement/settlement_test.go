package settlement_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/account"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/ledgertest"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement/settlementtest"
)

const chainID = "settlement-test"

// newChain gives a ledger on which the cast can do business.
func newChain(cast *settlementtest.Cast) *ledgertest.Chain {
	chain := ledgertest.New(chainID)
	client, operator := settlementtest.Account(cast.Client), settlementtest.Account(cast.Operator)
	chain.Fund(client, 1000*settlementtest.MaxPrice)
	chain.Grant(client, operator, 1000*settlementtest.MaxPrice)
	chain.Miner(cast.Miner.Public().(ed25519.PublicKey))
	return chain
}

// follow runs a ledger client until the test ends.
func follow(t *testing.T, endpoint ledger.Endpoint) *ledger.Client {
	t.Helper()
	client, err := ledger.New(ledger.DefaultConfig(), endpoint, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return client
}

func newSettlement(t *testing.T, config settlement.Config, cast *settlementtest.Cast, client *ledger.Client, book *settlementtest.Book) *settlement.Chain {
	t.Helper()
	s, err := settlement.New(config, settlement.Deps{
		Ledger: client, Outbox: book, Sink: book, Funds: account.NewReader(client, settlementtest.Account(cast.Operator)),
		Operator: settlementtest.Account(cast.Operator), Key: cast.Operator,
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return s
}

func TestSettlementOnTheLedger(t *testing.T) {
	t.Parallel()
	settlementtest.Run(t, func(t *testing.T) settlementtest.Bench {
		cast := settlementtest.NewCast(chainID)
		chain := newChain(cast)
		supply := chain.Supply()
		t.Cleanup(func() { require.Equal(t, supply, chain.Supply()) })
		client := follow(t, chain)
		return settlementtest.Bench{
			Cast: cast, Now: chain.Now, Costs: true,
			Open: func(t *testing.T, book *settlementtest.Book) settlement.Settlement {
				return newSettlement(t, settlement.DefaultConfig(), cast, client, book)
			},
		}
	})
}

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	err := settlement.Config{TxLife: time.Second}.Validate()
	require.ErrorContains(t, err, "messages per transaction")
	require.ErrorContains(t, err, "sweep time")
	require.NotContains(t, err.Error(), "life of a transaction")
	require.NoError(t, settlement.DefaultConfig().Validate())
}
