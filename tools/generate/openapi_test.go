package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/internal/toolbin"
)

// Operation ids are the bare method names, which the generator does not keep
// apart: two services with a method of one name would give a document that
// client generators refuse.
func TestOpenAPIOperationsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	root, err := toolbin.Root()
	require.NoError(t, err)
	for _, name := range []string{"aitbc", "miner"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(filepath.Join(root, "gen", "openapi", name+".swagger.json"))
			require.NoError(t, err)
			var document struct {
				Paths map[string]map[string]struct {
					OperationID string `json:"operationId"`
				}
			}
			require.NoError(t, json.Unmarshal(content, &document))
			require.NotEmpty(t, document.Paths)
			seen := make(map[string]string)
			for path, methods := range document.Paths {
				for method, operation := range methods {
					require.NotEmpty(t, operation.OperationID, "%s %s", method, path)
					require.NotContains(t, seen, operation.OperationID, "%s %s", method, path)
					seen[operation.OperationID] = path
				}
			}
		})
	}
}
