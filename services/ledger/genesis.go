package ledger

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/ledger/internal/node"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// Genesis is the ledger before its first block; Params are its parameters.
type (
	Genesis          = state.Genesis
	GenesisAccount   = state.GenesisAccount
	GenesisOperator  = state.GenesisOperator
	GenesisMiner     = state.GenesisMiner
	GenesisAllowance = state.GenesisAllowance
	Params           = state.Params
)

// DefaultParams are a public network's parameters.
func DefaultParams() Params { return state.DefaultParams() }

// DevParams are a development network's: two minutes of grace, a refund window of two seconds.
func DevParams() Params { return state.DevParams() }

// LoadGenesis reads the genesis that a home folder has. Errors: [fs.ErrNotExist] before the first
// start.
func LoadGenesis(home string) (Genesis, error) { return node.LoadGenesis(home) }

// MakeNetwork makes the home folders of validators of one new chain, with keys and genesis, and gives
// each node's id: others connect to id@host:port. Errors: [fs.ErrExist] when a chain is in one already.
func MakeNetwork(homes []string, genesis Genesis) ([]string, error) {
	return node.MakeNetwork(homes, genesis)
}

// DevKeys are the public keys of a development network's accounts.
type DevKeys struct{ Authority, Operator, Client, Miner, Faucet ed25519.PublicKey }

// What a development network's accounts begin with.
const (
	devCoins       = 1_000 * aitbc.UnitsPerCoin
	devStake       = 100 * aitbc.UnitsPerCoin
	devFaucetCoins = 1_000_000 * aitbc.UnitsPerCoin
)

// DevGenesis is a development network's genesis: the client has 1,000 aitbc and an allowance of as
// much to the operator, the operator 1,000 aitbc, the miner 100 aitbc staked, the faucet 1,000,000;
// the authority is there and has nothing.
func DevGenesis(chainID string, now time.Time, keys DevKeys) Genesis {
	account := func(key ed25519.PublicKey, balance aitbc.Amount) GenesisAccount {
		return GenesisAccount{ID: aitbc.AccountOf(key).String(), PublicKey: hex.EncodeToString(key), Balance: balance}
	}
	authority, operator := account(keys.Authority, 0), account(keys.Operator, devCoins)
	client, miner := account(keys.Client, devCoins), account(keys.Miner, 0)
	return Genesis{
		ChainID:    chainID,
		Time:       now.UTC(),
		Params:     DevParams(),
		Authority:  authority.ID,
		Accounts:   []GenesisAccount{authority, operator, client, miner, account(keys.Faucet, devFaucetCoins)},
		Operators:  []GenesisOperator{{ID: operator.ID, Name: "dev operator"}},
		Miners:     []GenesisMiner{{ID: miner.ID, Name: "dev miner", Stake: devStake}},
		Allowances: []GenesisAllowance{{Client: client.ID, Operator: operator.ID, Cap: devCoins}},
	}
}

// DevChainID makes a chain id that no other network has.
func DevChainID(entropy io.Reader) (string, error) {
	random := make([]byte, 6)
	if _, err := io.ReadFull(entropy, random); err != nil {
		return "", fmt.Errorf("make chain id: %w", err)
	}
	return "aitbc-dev-" + hex.EncodeToString(random), nil
}
