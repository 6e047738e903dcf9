package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cometbft/cometbft/config"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
)

// keys are a node's identities.
type keys struct {
	validator *privval.FilePV
	node      *p2p.NodeKey
}

// loadKeys loads the keys, or makes them at the first start.
func loadKeys(c *config.Config) (keys, error) {
	key, state := c.PrivValidatorKeyFile(), c.PrivValidatorStateFile()
	// CometBFT ends the process when it can not read these; so they are read here first.
	if err := errors.Join(readable(key, &privval.FilePVKey{}), readable(state, &privval.FilePVLastSignState{})); err != nil {
		return keys{}, err
	}
	if exists(key) && !exists(state) {
		return keys{}, fmt.Errorf("%s is there but %s is not: without what was signed last the validator could sign twice", key, state)
	}
	validator := privval.LoadOrGenFilePV(key, state)
	nodeKey, err := p2p.LoadOrGenNodeKey(c.NodeKeyFile())
	if err != nil {
		return keys{}, fmt.Errorf("load node key: %w", err)
	}
	return keys{validator: validator, node: nodeKey}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readable(path string, into any) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = cmtjson.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("load validator: %s: %w", path, err)
	}
	return nil
}
