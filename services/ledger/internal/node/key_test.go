package node

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

func prepared(t *testing.T) Config {
	t.Helper()
	genesis := ledgertest.Genesis()
	c := Config{Home: t.TempDir(), P2PListen: "127.0.0.1:0", Heartbeat: time.Second, Genesis: &genesis}
	require.NoError(t, Prepare(c))
	return c
}

func TestKeysThatCannotBeReadAreAnErrorAndNotTheEnd(t *testing.T) {
	t.Parallel()
	c := prepared(t)
	require.NoError(t, os.WriteFile(cometConfig(c).PrivValidatorKeyFile(), []byte("{"), 0o600))
	require.ErrorContains(t, Prepare(c), "priv_validator_key.json")
}

func TestAValidatorWithoutItsGuardDoesNotStart(t *testing.T) {
	t.Parallel()
	c := prepared(t)
	require.NoError(t, os.Remove(cometConfig(c).PrivValidatorStateFile()))
	require.ErrorContains(t, Prepare(c), "sign twice")
}

func TestPreparingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	c := prepared(t)
	before, err := os.ReadFile(GenesisFile(c.Home))
	require.NoError(t, err)
	c.Genesis.ChainID = "another"
	require.NoError(t, Prepare(c))
	after, err := os.ReadFile(GenesisFile(c.Home))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestWithoutAGenesisTheErrorSaysWhereItBelongs(t *testing.T) {
	t.Parallel()
	err := Prepare(Config{Home: t.TempDir(), P2PListen: "127.0.0.1:0", Heartbeat: time.Second})
	require.ErrorContains(t, err, "genesis.json")
	require.ErrorContains(t, err, "aitbcd ledger init")
}
