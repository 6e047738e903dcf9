package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cometbft/cometbft/crypto"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/types"

	"github.com/aitbc/aitbc/services/ledger/internal/app"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const validatorPower = 10

// GenesisFile is where a node's genesis document is.
func GenesisFile(home string) string { return filepath.Join(home, "config", "genesis.json") }

// LoadGenesis reads a node's genesis document. Errors: [fs.ErrNotExist].
func LoadGenesis(home string) (state.Genesis, error) {
	raw, err := os.ReadFile(GenesisFile(home))
	if err != nil {
		return state.Genesis{}, fmt.Errorf("load genesis: %w", err)
	}
	doc, err := types.GenesisDocFromJSON(raw)
	if err != nil {
		return state.Genesis{}, fmt.Errorf("load genesis: %s: %w", GenesisFile(home), err)
	}
	genesis, err := app.ParseGenesis(doc.AppState)
	if err != nil {
		return state.Genesis{}, fmt.Errorf("load genesis: %s: %w", GenesisFile(home), err)
	}
	genesis.ChainID, genesis.Time = doc.ChainID, doc.GenesisTime
	return genesis, nil
}

// ensureGenesis writes the genesis document unless there is one; what is there is never changed.
func ensureGenesis(home string, genesis *state.Genesis, validator crypto.PubKey) error {
	path := GenesisFile(home)
	_, err := os.Stat(path)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for genesis: %w", err)
	}
	if genesis == nil {
		return fmt.Errorf("%s is not there, and no genesis was given: copy the network's, or make a network of your own with `aitbcd ledger init`", path)
	}
	return writeGenesis(path, *genesis, []crypto.PubKey{validator})
}

// writeGenesis writes the document of a chain whose first blocks these validators make, with equal
// power.
func writeGenesis(path string, genesis state.Genesis, validators []crypto.PubKey) error {
	if _, err := state.New(genesis); err != nil {
		return err
	}
	appState, err := json.MarshalIndent(genesis, "", "  ")
	if err != nil {
		return fmt.Errorf("encode genesis: %w", err)
	}
	params := types.DefaultConsensusParams()
	params.Block.MaxBytes = maxBlockBytes
	doc := &types.GenesisDoc{
		ChainID:         genesis.ChainID,
		GenesisTime:     genesis.Time.UTC(),
		InitialHeight:   1,
		ConsensusParams: params,
		AppState:        appState,
	}
	for _, key := range validators {
		doc.Validators = append(doc.Validators, types.GenesisValidator{Address: key.Address(), PubKey: key, Power: validatorPower})
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	raw, err := cmtjson.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("encode genesis: %w", err)
	}
	return writeOnce(path, append(raw, '\n'))
}

// writeOnce makes a file that is either whole or not there.
func writeOnce(path string, content []byte) error {
	draft, err := os.CreateTemp(filepath.Dir(path), ".genesis-*")
	if err != nil {
		return fmt.Errorf("write genesis: %w", err)
	}
	defer func() { _ = os.Remove(draft.Name()) }() // gone already when all went well
	_, err = draft.Write(content)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return fmt.Errorf("write genesis: %w", err)
	}
	if err := os.Rename(draft.Name(), path); err != nil {
		return fmt.Errorf("write genesis: %w", err)
	}
	return nil
}
