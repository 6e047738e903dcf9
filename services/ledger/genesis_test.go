package ledger_test

import (
	"crypto/rand"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/ledger"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

func TestADevelopmentNetworkBeginsAsDescribed(t *testing.T) {
	t.Parallel()
	chain, err := ledger.DevChainID(rand.Reader)
	require.NoError(t, err)
	genesis := ledger.DevGenesis(chain, time.Now(), ledger.DevKeys{
		Authority: ledgertest.Public("authority"), Operator: ledgertest.Public("operator"), Client: ledgertest.Public("client"),
		Miner: ledgertest.Public("miner"), Faucet: ledgertest.Public("faucet"),
	})
	cfg := config(t.TempDir())
	cfg.Genesis = &genesis
	_, err = ledger.LoadGenesis(cfg.Home)
	require.ErrorIs(t, err, fs.ErrNotExist)
	s := newService(t, cfg)
	require.Equal(t, chain, s.Genesis().ChainID)
	loaded, err := ledger.LoadGenesis(cfg.Home)
	require.NoError(t, err)
	require.Equal(t, genesis.Accounts, loaded.Accounts)
	require.Equal(t, genesis.Params, loaded.Params)
	require.True(t, genesis.Time.Equal(loaded.Time))

	st := ledgertest.State(t, loaded)
	require.Equal(t, aitbc.Amount(1_002_100)*aitbc.UnitsPerCoin, st.Info().Supply)
	grant, there := st.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
	require.True(t, there)
	require.Equal(t, aitbc.Amount(1_000)*aitbc.UnitsPerCoin, grant.Remaining)
	miner, there := st.Miner(ledgertest.ID("miner"))
	require.True(t, there)
	require.Equal(t, aitbc.Amount(100)*aitbc.UnitsPerCoin, miner.Stake)

	other := ledger.DevGenesis("another", time.Now(), ledger.DevKeys{})
	cfg.Genesis = &other
	require.Equal(t, chain, newService(t, cfg).Genesis().ChainID, "what is there stays")
}

func TestBadConfigurationsSayEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	require.NoError(t, config("home").Validate())
	err := ledger.Config{GRPCListen: "nonsense"}.Validate()
	for _, fault := range []string{"home", ledger.FlagRPCListen, ledger.FlagP2PListen, ledger.FlagGRPCListen, "heartbeat"} {
		require.ErrorContains(t, err, fault)
	}
	cfg := config(t.TempDir())
	cfg.Genesis = nil
	_, err = ledger.New(cfg, ledger.Deps{})
	require.ErrorContains(t, err, "logger")
}
