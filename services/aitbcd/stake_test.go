package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/miner"
)

func TestTheStakeIsAskedForUntilItGetsWork(t *testing.T) {
	t.Parallel()
	stake := miner.Stake{Has: 10 * aitbc.UnitsPerCoin, Least: 100 * aitbc.UnitsPerCoin, Balance: 200 * aitbc.UnitsPerCoin}
	require.True(t, stake.Lacks())
	for name, c := range map[string]struct {
		typed string
		want  aitbc.Amount
		says  string
	}{
		"an amount":           {"150aitbc\n", 150 * aitbc.UnitsPerCoin, "it gets work from 100aitbc on. Its account has 200aitbc."},
		"nothing":             {"\n", 0, "Stake to have [100aitbc]: "},
		"the end":             {"", 0, "Stake to have [100aitbc]: \n"},
		"no amount, then one": {"much\n100aitbc\n", 100 * aitbc.UnitsPerCoin, "much is no amount: give one such as 100aitbc"},
		"too little, then more": {
			"99aitbc\n101aitbc\n", 101 * aitbc.UnitsPerCoin, "99aitbc is not enough: the least is 100aitbc",
		},
		"more than there is, then all": {
			"211aitbc\n210aitbc\n", 210 * aitbc.UnitsPerCoin, "211aitbc is more than the account has: have 1aitbc sent to",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			got, err := askStake(strings.NewReader(c.typed), &out, stake)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Contains(t, out.String(), c.says)
		})
	}
}
