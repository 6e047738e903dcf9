package ledgertest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// ChainID is the test network's.
const ChainID = "aitbc-test"

// Start is when the test network begins, the first instant of a UTC day.
func Start() time.Time { return time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC) }

// Key makes a key from a name.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// ID gives the account of the key of a name.
func ID(name string) aitbc.AccountID { return aitbc.AccountOf(Public(name)) }

// Public gives the public key of a name.
func Public(name string) ed25519.PublicKey { return Key(name).Public().(ed25519.PublicKey) }

// Job gives a job id.
func Job(n int) aitbc.JobID {
	var id ulid.ULID
	if err := id.SetTime(uint64(n)); err != nil {
		panic(err)
	}
	return aitbc.JobID(id)
}

// Genesis has client "client" with 1,000 aitbc, operator "operator" with 10 and its allowance for
// all the client has, "operator2", miner "miner" with 100 staked and "miner2" with nothing, and
// "newcomer" with 5 and a key that the ledger has not seen.
func Genesis() state.Genesis {
	account := func(name string, coins aitbc.Amount) state.GenesisAccount {
		return state.GenesisAccount{
			ID: ID(name).String(), PublicKey: hex.EncodeToString(Public(name)), Balance: coins * aitbc.UnitsPerCoin,
		}
	}
	newcomer := account("newcomer", 5)
	newcomer.PublicKey = ""
	return state.Genesis{
		ChainID:   ChainID,
		Time:      Start(),
		Params:    state.DevParams(),
		Authority: ID("operator").String(),
		Accounts: []state.GenesisAccount{
			account("client", 1_000), account("operator", 10), account("operator2", 0),
			account("miner", 0), account("miner2", 0), newcomer,
		},
		Operators: []state.GenesisOperator{{ID: ID("operator").String()}, {ID: ID("operator2").String()}},
		Miners: []state.GenesisMiner{
			{ID: ID("miner").String(), Name: "one", Stake: 100 * aitbc.UnitsPerCoin},
			{ID: ID("miner2").String(), Name: "two"},
		},
		Allowances: []state.GenesisAllowance{
			{Client: ID("client").String(), Operator: ID("operator").String(), Cap: 1_000 * aitbc.UnitsPerCoin},
		},
	}
}

// State builds the state of a genesis.
func State(t testing.TB, g state.Genesis) *state.State {
	t.Helper()
	st, err := state.New(g)
	require.NoError(t, err)
	return st
}

// Tx is a transaction to be signed.
type Tx struct {
	Signer   string
	Expires  time.Time
	Sequence uint64
	ChainID  string
	Messages []*ledgerv1.Message
	// Compact says that messages inherit what they can.
	Compact bool
}

// Sign gives the transaction's bytes.
func (x Tx) Sign(t testing.TB) []byte {
	t.Helper()
	id := ID(x.Signer)
	if x.ChainID == "" {
		x.ChainID = ChainID
	}
	if x.Compact {
		x.Messages = aitbc.Compact(x.Messages)
	}
	raw, _, err := aitbc.SignTx(Key(x.Signer), &ledgerv1.TxBody{
		Version: aitbc.TxVersion, ChainId: x.ChainID, Signer: id[:], ExpiresUs: x.Expires.UnixMicro(),
		Sequence: x.Sequence, Messages: x.Messages,
	})
	require.NoError(t, err)
	return raw
}
