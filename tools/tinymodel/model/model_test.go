package model_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

func TestShippedFileIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(model.File())
	require.Equal(t, model.SHA256, hex.EncodeToString(sum[:]))
	require.Less(t, len(model.File()), 1_000_000)

	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), model.SHA256)
	require.Contains(t, string(readme), model.Answer)
}

func TestModelfileSaysWhatTheConstantsSay(t *testing.T) {
	t.Parallel()
	modelfile, err := os.ReadFile("Modelfile")
	require.NoError(t, err)
	want := fmt.Sprintf("FROM ./tiny.gguf\nTEMPLATE \"\"\"%s\"\"\"\nPARAMETER num_thread %d\n", model.Template, model.Threads)
	require.Equal(t, want, string(modelfile))
}

func TestACallerCannotChangeTheShippedFile(t *testing.T) {
	t.Parallel()
	model.File()[0] = 'X'
	require.Equal(t, "GGUF", string(model.File()[:4]))
}
