package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPageIsFresh(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..", "..")
	source, err := os.ReadFile(filepath.Join(root, protoFile))
	require.NoError(t, err)
	want, err := render(source)
	require.NoError(t, err)
	have, err := os.ReadFile(filepath.Join(root, pageFile))
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "run `go run ./services/internal/apierr/gen`")
}

func TestAReasonWithoutACommentIsRefused(t *testing.T) {
	t.Parallel()
	_, err := render([]byte("enum ErrorReason {\n}\n"))
	require.ErrorContains(t, err, "INVALID_FIELD")
}
