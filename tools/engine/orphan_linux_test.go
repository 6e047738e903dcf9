package engine_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

// processesWith returns the living processes whose environment holds the text.
// A zombie has none.
func processesWith(t *testing.T, text string) []int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	var pids []int
	for _, dir := range dirs {
		// A process may end between the listing and the reading.
		environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
		pid, err := strconv.Atoi(filepath.Base(dir))
		require.NoError(t, err)
		if pid != os.Getpid() && strings.Contains(string(environment), text) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestNoProcessOutlivesItsEngine(t *testing.T) {
	t.Parallel()
	for situation, end := range map[string]func(*engine.Engine) error{
		"stopped": (*engine.Engine).Stop,
		"killed":  (*engine.Engine).Kill,
	} {
		dir := t.TempDir()
		e := enginetest.StartOwn(t, engine.Options{Dir: dir})
		require.Len(t, processesWith(t, dir), 2, "%s: the server and its runner", situation)
		require.NoError(t, end(e))
		require.Eventually(t, func() bool { return len(processesWith(t, dir)) == 0 }, 10*time.Second, 10*time.Millisecond, situation)
	}
}

func TestNoProcessOutlivesAStartThatWasGivenUp(t *testing.T) {
	t.Parallel()
	_, err := engine.Ensure(t.Context(), os.Stderr) // so that the time below goes into starting
	require.NoError(t, err)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // it needs 300 ms
	defer cancel()
	_, err = engine.Start(ctx, engine.Options{Own: true, Dir: dir})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.FileExists(t, filepath.Join(dir, "ollama.log"), "it got as far as starting the server")
	require.Empty(t, processesWith(t, dir))
}

func TestNoProcessOutlivesAKilledParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	command := filepath.Join(t.TempDir(), "engine")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", command, "./cmd/engine").CombinedOutput()
	require.NoError(t, err, "%s", out)

	parent := exec.CommandContext(t.Context(), command, "serve", "--own", "--addr", "127.0.0.1:0", "--dir", dir)
	stdout, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n') // printed once it has answered a prompt
	require.NoError(t, err)
	require.Contains(t, line, "http://127.0.0.1:")
	require.Len(t, processesWith(t, dir+"/home"), 2, "the server and its runner")

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	require.Eventually(t, func() bool { return len(processesWith(t, dir+"/home")) == 0 }, 10*time.Second, 10*time.Millisecond)
}
