package state_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

func grant(to string, limit int64) *ledgerv1.GrantAllowance {
	id := ledgertest.ID(to)
	return &ledgerv1.GrantAllowance{Operator: id[:], CapUaitbc: limit}
}

func revoke(from string) *ledgerv1.RevokeAllowance {
	id := ledgertest.ID(from)
	return &ledgerv1.RevokeAllowance{Operator: id[:]}
}

func TestAccountMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	tests := []struct {
		name    string
		signer  string
		message any
		want    ledgerv1.ResultCode
	}{
		{"transfer of all", "client", transfer("operator", 1_000_000_000), ok},
		{"transfer to oneself", "client", transfer("client", 1_000_000_000), ok},
		{"transfer to a new account", "client", transfer("nobody", 1_000), ok},
		{"transfer of dust to a new account", "client", transfer("nobody", 999), dust},
		{"transfer of more than all", "client", transfer("operator", 1_000_000_001), insufficientFunds},
		{"transfer of nothing", "client", transfer("operator", 0), isMalformed},
		{"transfer of less than nothing", "client", transfer("operator", -1), isMalformed},
		{"transfer to no account", "client", &ledgerv1.Transfer{To: []byte{1}, AmountUaitbc: 1}, isMalformed},
		{"grant to an operator", "client", grant("operator2", 1), ok},
		{"grant to nobody", "client", grant("miner", 1), notOperator},
		{"grant of nothing", "client", grant("operator2", 0), isMalformed},
		{"grant to no account", "client", &ledgerv1.GrantAllowance{CapUaitbc: 1}, isMalformed},
		{"grant that is over", "client", &ledgerv1.GrantAllowance{Operator: grant("operator", 1).GetOperator(), CapUaitbc: 1, ExpiresUs: 5}, expired},
		{"grant with a negative limit", "client", &ledgerv1.GrantAllowance{Operator: grant("operator", 1).GetOperator(), CapUaitbc: 1, PerDayUaitbc: -1}, isMalformed},
		{"revoke", "client", revoke("operator"), ok},
		{"revoke what was not granted", "client", revoke("operator2"), insufficientAllowance},
		{"revoke from no account", "client", &ledgerv1.RevokeAllowance{}, isMalformed},
		{"register an operator", "newcomer", &ledgerv1.RegisterOperator{Name: "n"}, ok},
		{"register an operator with a long name", "newcomer", &ledgerv1.RegisterOperator{Name: long}, isMalformed},
		{"register a miner", "newcomer", &ledgerv1.RegisterMiner{Name: "n"}, ok},
		{"register a miner with a long name", "newcomer", &ledgerv1.RegisterMiner{Name: long}, isMalformed},
		{"bond without being a miner", "client", &ledgerv1.BondStake{AmountUaitbc: 1}, notMiner},
		{"bond more than all", "miner", &ledgerv1.BondStake{AmountUaitbc: 1}, insufficientFunds},
		{"bond nothing", "miner", &ledgerv1.BondStake{}, isMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			require.Equal(t, test.want, c.One(test.signer, test.message))
		})
	}
}

func TestAMinerKeepsItsStakeWhenItRegistersAgain(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	require.Equal(t, ok, c.One("client", transfer("miner", 7)))
	require.Equal(t, ok, c.One("miner", &ledgerv1.BondStake{AmountUaitbc: 7}))
	require.Equal(t, ok, c.One("miner", &ledgerv1.RegisterMiner{Name: "renamed"}))
	miner, _ := c.State.Miner(ledgertest.ID("miner"))
	require.Equal(t, "renamed", miner.Name)
	require.Equal(t, aitbc.Amount(100_000_007), miner.Stake)
	require.Len(t, c.State.Miners(aitbc.AccountID{}, 10), 2)
	require.Len(t, c.State.Miners(aitbc.AccountID{}, 1), 1)
}

// One escrow of Order is 1.2 aitbc.
func TestAllowanceLimits(t *testing.T) {
	t.Parallel()
	limited := func(change func(*ledgerv1.GrantAllowance)) *ledgerv1.GrantAllowance {
		g := grant("operator", 100_000_000)
		change(g)
		return g
	}
	tests := []struct {
		name  string
		grant *ledgerv1.GrantAllowance
		// want are the codes of escrows one after the other.
		want []ledgerv1.ResultCode
	}{
		{"cap for one", grant("operator", 1_200_000), []ledgerv1.ResultCode{ok, insufficientAllowance}},
		{"cap for less than one", grant("operator", 1_199_999), []ledgerv1.ResultCode{insufficientAllowance}},
		{"a job's limit just enough", limited(func(g *ledgerv1.GrantAllowance) { g.PerJobUaitbc = 1_200_000 }), []ledgerv1.ResultCode{ok, ok}},
		{"a job's limit too small", limited(func(g *ledgerv1.GrantAllowance) { g.PerJobUaitbc = 1_199_999 }), []ledgerv1.ResultCode{insufficientAllowance}},
		{"a day's limit for two", limited(func(g *ledgerv1.GrantAllowance) { g.PerDayUaitbc = 2_400_000 }), []ledgerv1.ResultCode{ok, ok, insufficientAllowance}},
		{"over in two seconds", limited(func(g *ledgerv1.GrantAllowance) { g.ExpiresUs = ledgertest.Start().Add(3 * time.Second).UnixMicro() }), []ledgerv1.ResultCode{ok, ok, insufficientAllowance}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			require.Equal(t, ok, c.One("client", test.grant))
			for i, want := range test.want {
				require.Equal(t, want, c.One("operator", ledgertest.Submit(ledgertest.Order(ledgertest.Job(i), c.Now()))), "escrow %d", i)
			}
		})
	}
}

func TestADaysLimitBeginsAnewWithTheDay(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	g := grant("operator", 100_000_000)
	g.PerDayUaitbc = 1_200_000
	require.Equal(t, ok, c.One("client", g))
	c.Escrow(1)
	spent, _ := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
	require.Equal(t, aitbc.Amount(1_200_000), spent.SpentToday)
	c.Wait(24 * time.Hour)
	spent, _ = c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
	require.Zero(t, spent.SpentToday)
	c.Escrow(2)
}

func TestWhatAnEscrowReturnsGoesBackToItsGrant(t *testing.T) {
	t.Parallel()
	settle := func(c *ledgertest.Chain, o aitbc.Order) {
		require.Equal(t, ok, c.One("operator", ledgertest.Receipt(ledgertest.Work{
			Order: o, Miner: "miner", Attempt: 1, ComputeUS: 1_000_000, MeteredUS: 1_000_000,
		})))
	}
	t.Run("and to its day", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		settle(c, c.Escrow(1))
		g, _ := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
		require.Equal(t, aitbc.Amount(1_000_000_000-20_000), g.Remaining)
		require.Equal(t, aitbc.Amount(20_000), g.SpentToday)
	})
	t.Run("but not to another day", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		c.Wait(24*time.Hour - 5*time.Second)
		yesterday := c.Escrow(1)
		c.Wait(5 * time.Second)
		c.Escrow(2)
		settle(c, yesterday)
		g, _ := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
		require.Equal(t, aitbc.Amount(1_200_000), g.SpentToday)
	})
	t.Run("but not to one that replaced it", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		o := c.Escrow(1)
		require.Equal(t, ok, c.One("client", grant("operator", 5)))
		settle(c, o)
		g, _ := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
		require.Equal(t, aitbc.Amount(5), g.Remaining)
	})
	t.Run("unless it was revoked", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		o := c.Escrow(1)
		require.Equal(t, ok, c.One("client", revoke("operator")))
		settle(c, o)
		_, there := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
		require.False(t, there)
	})
}
