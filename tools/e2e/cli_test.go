package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

// output is what a program printed and how it ended.
type output struct {
	Stdout, Stderr string
	Code           int
}

func execute(t *testing.T, environment []string, program string, args ...string) output {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = append(os.Environ(), environment...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		require.ErrorAs(t, err, new(*exec.ExitError))
	}
	return output{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// cli runs the seed document's wrapper. It prefers a program beside it to any other, and so runs in
// a place where that is the one under test.
func cli(t *testing.T, n *network.Network, args ...string) output {
	t.Helper()
	script, err := os.ReadFile("../../clients/aitbc/aitbc-cli.sh")
	require.NoError(t, err)
	wrapper := filepath.Join(t.TempDir(), "aitbc-cli.sh")
	require.NoError(t, os.WriteFile(wrapper, script, 0o700))
	require.NoError(t, os.Symlink(filepath.Join(programs, "aitbc"), filepath.Join(filepath.Dir(wrapper), "aitbc")))
	return execute(t, []string{"AITBC_URL=http://" + n.CoordinatorREST}, wrapper, args...)
}

// createKey makes a funded custodial client key with the operator's command line.
func createKey(t *testing.T, n *network.Network, fund string, environment ...string) string {
	t.Helper()
	return newKey(t, n, environment, "--fund", fund)
}

// createKeyFor makes a client key for an account whose key the operator has not.
func createKeyFor(t *testing.T, n *network.Network, account aitbc.AccountID) string {
	t.Helper()
	return newKey(t, n, nil, "--account", account.String())
}

func newKey(t *testing.T, n *network.Network, environment []string, args ...string) string {
	t.Helper()
	return newKeyAt(t, environment, append([]string{"--state", filepath.Dir(n.LogFile()), "--ledger-url", "http://" + n.LedgerRPC}, args...)...)
}

// newKeyAt makes a client key beside the coordinator whose state folder and ledger args name.
func newKeyAt(t *testing.T, environment []string, args ...string) string {
	t.Helper()
	args = append([]string{"coordinator", "keys", "create", "--name", "test", "--scope", "client", "-o", "json"}, args...)
	out := execute(t, environment, filepath.Join(programs, "aitbcd"), args...)
	require.Zero(t, out.Code, out.Stderr)
	var created struct {
		Key string `json:"key"`
	}
	require.NoError(t, json.Unmarshal([]byte(out.Stdout), &created), out.Stdout)
	require.NotEmpty(t, created.Key)
	return created.Key
}

func TestTheSeedsCommandLine(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)

	submitted := cli(t, n, "submit", "inference", "--prompt", question, "--model", "tiny")
	require.Zero(t, submitted.Code, submitted.Stderr)
	id := line(submitted.Stdout, "Job ID: ")
	require.NotEmpty(t, id, submitted.Stdout)
	awaitStatus(t, n, id, "completed")
	status := cli(t, n, "status", id)
	require.Zero(t, status.Code, status.Stderr)

	require.Equal(t, id, line(status.Stdout, "Job ID: "))
	require.Equal(t, "completed", line(status.Stdout, "Status: "))
	require.True(t, strings.HasPrefix(line(status.Stdout, "Result: "), answer), status.Stdout)
	require.True(t, strings.HasPrefix(line(status.Stdout, "Receipt: "), "receipt_"), status.Stdout)
	require.Contains(t, line(status.Stdout, "Completed in: "), "second")
	require.Contains(t, line(status.Stdout, "Cost: "), " AITBC")
}

func TestWaitFollowsToTheEnd(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)

	out := cli(t, n, "submit", "inference", "--prompt", question, "--model", "tiny", "--wait")

	require.Zero(t, out.Code, out.Stderr)
	require.Equal(t, "completed", line(out.Stdout, "Status: "))
	require.True(t, strings.HasPrefix(line(out.Stdout, "Result: "), answer), out.Stdout)
}

// line gives what follows a label at the start of a line.
func line(text, label string) string {
	for row := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(row, label); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func TestTheCommandLinePrintsTheFieldAtFault(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")

	out := cli(t, n, "submit", "inference", "--prompt", "", "--model", "tiny")

	require.NotZero(t, out.Code)
	require.Contains(t, out.Stderr, "prompt")
}

func TestTheCommandLineTriesFourTimesThenSaysSo(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 16)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls <- struct{}{}
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close() // away, in the middle of the call
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})

	address := "http://" + listener.Addr().String()
	out := execute(t, []string{"AITBC_URL=" + address, "CLIENT_KEY=" + clientKey}, filepath.Join(programs, "aitbc"),
		"submit", "inference", "--prompt", question, "--model", "tiny")

	require.NotZero(t, out.Code)
	require.Len(t, calls, 4, "the first try and three more")
	require.Contains(t, out.Stderr, listener.Addr().String(), "it says who did not answer")
}
