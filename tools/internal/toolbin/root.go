package toolbin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var errOutside = errors.New("no buf.gen.yaml in the working folder or above: run inside the project")

// Root walks up from the working folder to the project's root, which is the
// folder that has buf.gen.yaml.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working folder: %w", err)
	}
	for {
		if exists(filepath.Join(dir, "buf.gen.yaml")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errOutside
		}
		dir = parent
	}
}
