package e2e

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// TestAMinerAsksAtATerminalForItsStake starts the daemon on a pseudo terminal and types: too little, no amount,
// and then one that is bonded.
func TestAMinerAsksAtATerminalForItsStake(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	m := newOwnMiner(t, n, n.EngineURL(), n.CoordinatorGRPC)
	command := exec.Command(filepath.Join(programs, "aitbcd"), append([]string{
		"miner", "--listen", "127.0.0.1:0", "--log-dir", filepath.Join(m.state, "log"),
	}, m.args...)...)
	terminal, err := pty.Start(command) // in a session of its own, with the terminal for standard input, output and errors
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may be gone, which is what we want
		_ = command.Wait()
		require.NoError(t, terminal.Close())
	})
	screen := bufio.NewReader(terminal)
	var seen strings.Builder
	awaitText := func(text string) {
		t.Helper()
		for !strings.HasSuffix(seen.String(), text) {
			b, err := screen.ReadByte()
			require.NoError(t, err, seen.String())
			seen.WriteByte(b)
		}
	}
	answer := func(text string) {
		t.Helper()
		_, err := terminal.WriteString(text + "\n")
		require.NoError(t, err)
	}

	awaitText("has a stake of 0aitbc; it gets work from 100aitbc on. Its account has 120aitbc.\r\nStake to have [100aitbc]: ")
	answer("99aitbc")
	awaitText("99aitbc is not enough: the least is 100aitbc\r\nStake to have [100aitbc]: ")
	answer("some")
	awaitText("some is no amount: give one such as 100aitbc\r\nStake to have [100aitbc]: ")
	answer("110aitbc")
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, screen) // its log; the end of a terminal is an error
	}()
	awaitStatus(t, n, submit(t, n, seedJob()), "completed")
	well := m.run(append([]string{"miner", "doctor"}, m.args...)...)
	require.Contains(t, well.Stdout, "with a stake of 110aitbc")

	_, err = terminal.Write([]byte{3}) // Ctrl-C
	require.NoError(t, err)
	require.NoError(t, command.Wait(), "it drains and leaves")
	<-read
	requireConserved(t, n)
}
