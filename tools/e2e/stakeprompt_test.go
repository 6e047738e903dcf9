package e2e

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAMinerAsksAtATerminalForItsStake starts the daemon on a terminal and types too little, no amount, and then
// one that is bonded; Ctrl-C ends it.
func TestAMinerAsksAtATerminalForItsStake(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	m := newOwnMiner(t, n, n.EngineURL(), n.CoordinatorGRPC)
	line := append([]string{
		filepath.Join(programs, "aitbcd"), "miner", "--listen", "127.0.0.1:0", "--log-dir", filepath.Join(m.state, "log"),
	}, m.args...)
	p := onTerminal(t, nil, strings.Join(line, " "))

	p.await("has a stake of 0aitbc; it gets work from 100aitbc on. Its account has 120aitbc.\r\nStake to have [100aitbc]: ")
	p.enter("99aitbc")
	p.await("99aitbc is not enough: the least is 100aitbc\r\nStake to have [100aitbc]: ")
	p.enter("some")
	p.await("some is no amount: give one such as 100aitbc\r\nStake to have [100aitbc]: ")
	p.enter("110aitbc")
	awaitStatus(t, n, submit(t, n, seedJob()), "completed")
	well := m.run(append([]string{"miner", "doctor"}, m.args...)...)
	require.Contains(t, well.Stdout, "with a stake of 110aitbc")

	_, err := io.WriteString(p.keys, "\x03")
	require.NoError(t, err)
	require.NoError(t, p.command.Wait(), "it drains and leaves: %s", p.screen.String())
	requireConserved(t, n)
}
