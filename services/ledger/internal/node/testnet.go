package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cometbft/cometbft/crypto"

	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// MakeNetwork makes the homes of validators of one new chain: keys, and the same genesis document.
// It gives each node's id, by which the others name it as their peer. Errors: [fs.ErrExist] when a
// home has a genesis already.
func MakeNetwork(homes []string, genesis state.Genesis) ([]string, error) {
	ids := make([]string, len(homes))
	validators := make([]crypto.PubKey, len(homes))
	for i, home := range homes {
		if _, err := os.Stat(GenesisFile(home)); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("make a network in %s: a chain is %w", home, fs.ErrExist), err)
		}
		for _, folder := range []string{"config", "data"} {
			if err := os.MkdirAll(filepath.Join(home, folder), 0o700); err != nil {
				return nil, fmt.Errorf("make a validator's folder: %w", err)
			}
		}
		k, err := loadKeys(cometConfig(Config{Home: home}))
		if err != nil {
			return nil, err
		}
		if validators[i], err = k.validator.GetPubKey(); err != nil {
			return nil, fmt.Errorf("read a validator's public key: %w", err)
		}
		ids[i] = string(k.node.ID())
	}
	for _, home := range homes {
		if err := writeGenesis(GenesisFile(home), genesis, validators); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
