package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

// programs is the folder with the two programs under test, built once.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := cleanEnvironment(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "aitbc-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	build := exec.Command("go", append(append([]string{"build", "-o", dir}, buildFlags...), "./services/aitbcd", "./clients/aitbc")...)
	build.Dir = "../.."
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, output)
		return 1
	}
	return enginetest.Run(m)
}

// cleanEnvironment takes out of the environment what would change what the programs under test do: whoever runs
// the tests may use the product too, or go through a proxy.
func cleanEnvironment() error {
	faults := []error{os.Unsetenv("XDG_CONFIG_HOME"), os.Setenv("NO_PROXY", "127.0.0.1"), os.Setenv("no_proxy", "127.0.0.1")}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "AITBC_") && name != "AITBC_CACHE" && name != "AITBC_UPDATE_DOCS" {
			faults = append(faults, os.Unsetenv(name))
		}
	}
	return errors.Join(faults...)
}

// The keys of `aitbcd dev`.
const (
	clientKey = "client_dev_key_1"
	minerKey  = "miner_dev_key_1"
	adminKey  = "admin_dev_key_1"
)

const (
	question = "What is machine learning?"
	answer   = "Machine learning is a subset of artificial intelligence"
)

// patience bounds every wait of a test; nothing should come near it.
const patience = 3 * time.Minute

// start starts a network in front of the engine at url, with more arguments for aitbcd.
func start(t *testing.T, url string, args ...string) *network.Network {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	state := t.TempDir()
	n, err := network.Start(ctx, network.Options{
		Program: filepath.Join(programs, "aitbcd"), State: state, EngineURL: url,
		// A busy machine is no reason for a job to fail.
		Args: append([]string{"--log-dir", filepath.Join(state, "log"), "--queue-timeout", "10m", "--total-timeout", "20m"}, args...),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("the network did not stop cleanly: %v", err)
		}
		text, err := os.ReadFile(n.LogFile())
		if err != nil {
			t.Errorf("reading the network's log: %v", err)
		}
		requireNoRace(t, text)
		if t.Failed() {
			t.Logf("log of the network:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	return n
}

// requireNoRace looks for the race detector's words in a process's output: one that is killed has no
// exit status that could tell.
func requireNoRace(t *testing.T, output []byte) {
	t.Helper()
	const words = 8_000 // of a report, which has the stacks of two goroutines and where they began
	if at := bytes.Index(output, []byte("WARNING: DATA RACE")); at >= 0 {
		t.Errorf("a data race:\n%s", output[at:min(len(output), at+words)])
	}
}

// startWithEngine starts a network in front of the shared real engine.
func startWithEngine(t *testing.T, args ...string) *network.Network {
	t.Helper()
	return start(t, enginetest.Start(t).URL(), args...)
}

// eventually asks until ok, with a short pause between.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 10*time.Millisecond, what)
}
