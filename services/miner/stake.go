package miner

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/miner/internal/enrol"
)

// Stake is how a miner stands on the ledger.
type Stake struct {
	// Account is the miner's.
	Account aitbc.AccountID
	// Has is its stake, Least that from which on it gets work, Balance what is free in its account.
	Has, Least, Balance aitbc.Amount
}

// Lacks reports whether it gets no work yet.
func (s Stake) Lacks() bool { return s.Has < s.Least }

// StakeOf looks at the ledger for a miner's stake; the miner's key is made when there is none. Errors: the
// key's, the ledger's.
func StakeOf(ctx context.Context, c Config) (s Stake, err error) {
	key, err := aitbc.LoadOrCreateKey(c.keyFile())
	if err != nil {
		return s, fmt.Errorf("miner key: %w", err)
	}
	ledger, err := aitbc.NewLedger(c.Ledger)
	if err != nil {
		return s, fmt.Errorf("ledger: %w", err)
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	standing, err := enrol.Look(ctx, ledger, aitbc.AccountOf(key.Public().(ed25519.PublicKey)))
	return Stake{Account: standing.Account, Has: standing.Stake, Least: standing.MinStake, Balance: standing.Balance}, err
}
