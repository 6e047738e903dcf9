package state_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

func TestABadGenesisIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*state.Genesis)
		says   string
	}{
		{"no chain id", func(g *state.Genesis) { g.ChainID = "" }, "chain id"},
		{"no block gap", func(g *state.Genesis) { g.Params.MaxBlockGapUS = 0 }, "max_block_gap_us"},
		{"prices the wrong way round", func(g *state.Genesis) { g.Params.MinPrice = g.Params.MaxPrice + 1 }, "min_price_uaitbc"},
		{"no expiries", func(g *state.Genesis) { g.Params.MaxExpiriesPerBlock = 0 }, "max_expiries_per_block"},
		{"a fee of more than all", func(g *state.Genesis) { g.Params.FeeBps = 10_001 }, "fee_bps"},
		{"an endless span", func(g *state.Genesis) { g.Params.MaxSettleAheadUS = 1<<63 - 1 }, "max_settle_ahead_us"},
		{"an account twice", func(g *state.Genesis) { g.Accounts = append(g.Accounts, g.Accounts[0]) }, "twice"},
		{"a mistyped address", func(g *state.Genesis) { g.Accounts[0].ID += "x" }, "account id"},
		{"another's key", func(g *state.Genesis) { g.Accounts[0].PublicKey = g.Accounts[1].PublicKey }, "public key"},
		{"a negative balance", func(g *state.Genesis) { g.Accounts[0].Balance = -1 }, "negative"},
		{"more than can be counted", func(g *state.Genesis) { g.Accounts[0].Balance = 1<<63 - 1 }, "too much"},
		{"a stake that is too much", func(g *state.Genesis) { g.Miners[0].Stake = 1<<63 - 1 }, "too much"},
		{"an operator without account", func(g *state.Genesis) { g.Operators[0].ID = ledgertest.ID("nobody").String() }, "not among"},
		{"an authority without account", func(g *state.Genesis) { g.Authority = ledgertest.ID("nobody").String() }, "not among"},
		{"a miner without key", func(g *state.Genesis) { g.Miners[0].ID = ledgertest.ID("newcomer").String() }, "public key"},
		{"an allowance to nobody", func(g *state.Genesis) { g.Allowances[0].Operator = ledgertest.ID("miner").String() }, "not an operator"},
		{"an allowance of nothing", func(g *state.Genesis) { g.Allowances[0].Cap = 0 }, "cap"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := ledgertest.Genesis()
			test.change(&g)
			_, err := state.New(g)
			require.ErrorContains(t, err, test.says)
		})
	}
}
