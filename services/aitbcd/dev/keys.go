package dev

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/ledger"
)

// Keys are the ledger keys of a new chain's first accounts. They are random, made at the first
// start, and kept in files of mode 0600; the public API keys have nothing to do with them.
type Keys struct{ Authority, Operator, Client, Miner, Faucet ed25519.PrivateKey }

// LoadKeys reads the keys from a folder and makes those that are missing.
func LoadKeys(dir string) (Keys, error) {
	var keys Keys
	for name, key := range map[string]*ed25519.PrivateKey{
		"authority": &keys.Authority, "operator": &keys.Operator, "client": &keys.Client, "miner": &keys.Miner, "faucet": &keys.Faucet,
	} {
		var err error
		if *key, err = aitbc.LoadOrCreateKey(filepath.Join(dir, name+".key")); err != nil {
			return Keys{}, fmt.Errorf("the chain's keys: %w", err)
		}
	}
	return keys, nil
}

// Genesis gives a genesis in which the keys have accounts: a funded client with an allowance to the
// operator, a registered and staked miner, an authority, a faucet.
func (k Keys) Genesis(now time.Time) (*ledger.Genesis, error) {
	chainID, err := ledger.DevChainID(rand.Reader)
	if err != nil {
		return nil, err
	}
	genesis := ledger.DevGenesis(chainID, now, ledger.DevKeys{
		Authority: public(k.Authority), Operator: public(k.Operator), Client: public(k.Client),
		Miner: public(k.Miner), Faucet: public(k.Faucet),
	})
	return &genesis, nil
}

// public gives the public half of a key.
func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// account gives the account made with a key.
func account(key ed25519.PrivateKey) aitbc.AccountID { return aitbc.AccountOf(public(key)) }
