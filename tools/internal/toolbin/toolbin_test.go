package toolbin

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// newTool makes a module with one program that prints word, and no dependency.
func newTool(t *testing.T, word string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "echo")
	require.NoError(t, os.Mkdir(dir, 0o755))
	setWord(t, dir, word)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.test/echo\n\ngo 1.26\n\ntool example.test/echo\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), nil, 0o644))
	return dir
}

func setWord(t *testing.T, dir, word string) {
	t.Helper()
	source := "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Print(\"" + word + "\") }\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644))
}

func says(t *testing.T, bin string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "echo")).Output()
	require.NoError(t, err)
	return string(out)
}

func TestToolIsBuiltOnceForOneSetOfVersions(t *testing.T) {
	t.Setenv(CacheVariable, t.TempDir())
	dir := newTool(t, "first")
	bin, err := Build(t.Context(), dir, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, "first", says(t, bin))

	// A second build would show itself by the new word.
	setWord(t, dir, "second")
	again, err := Build(t.Context(), dir, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, bin, again)
	require.Equal(t, "first", says(t, again))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), []byte("\n"), 0o644))
	moved, err := Build(t.Context(), dir, &bytes.Buffer{})
	require.NoError(t, err)
	require.NotEqual(t, bin, moved)
	require.Equal(t, "second", says(t, moved))
}

func TestManyWhoWantOneToolGetTheSame(t *testing.T) {
	t.Setenv(CacheVariable, t.TempDir())
	dir := newTool(t, "shared")
	const callers = 4
	var group sync.WaitGroup
	bins, errs := make([]string, callers), make([]error, callers)
	for i := range callers {
		group.Go(func() { bins[i], errs[i] = Build(t.Context(), dir, &bytes.Buffer{}) })
	}
	group.Wait()
	for i := range callers {
		require.NoError(t, errs[i])
		require.Equal(t, bins[0], bins[i])
	}
	require.Equal(t, "shared", says(t, bins[0]))
}

func TestBuildThatFailsLeavesNothingThatLooksComplete(t *testing.T) {
	cache := t.TempDir()
	t.Setenv(CacheVariable, cache)
	dir := newTool(t, "never")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { broken }\n"), 0o644))
	_, err := Build(t.Context(), dir, &bytes.Buffer{})
	require.ErrorContains(t, err, "undefined: broken")
	entries, err := filepath.Glob(filepath.Join(cache, "tools", "*"))
	require.NoError(t, err)
	for _, entry := range entries {
		require.Equal(t, ".lock", filepath.Ext(entry))
	}
}
