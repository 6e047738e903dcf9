package e2e

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
)

// streaming is `aitbc submit inference --stream` with more flags, in the middle of its answer.
type streaming struct {
	command *exec.Cmd
	out     *bufio.Reader
	stderr  bytes.Buffer
	job     string
}

func startStreaming(t *testing.T, n *network.Network, drops *dripping, flags ...string) *streaming {
	t.Helper()
	s := &streaming{}
	s.command = exec.Command(filepath.Join(programs, "aitbc"), append([]string{"submit", "inference", "--stream", "--model", "tiny", "--prompt", question}, flags...)...)
	s.command.Env = append(os.Environ(), "AITBC_URL=http://"+n.CoordinatorREST, "AITBC_API_KEY="+clientKey)
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.command.Stderr = &s.stderr
	out, err := s.command.StdoutPipe()
	require.NoError(t, err)
	s.out = bufio.NewReader(out)
	require.NoError(t, s.command.Start())
	t.Cleanup(func() { _ = s.command.Process.Kill() }) // it may be gone, which is what we want
	line, err := s.out.ReadString('\n')
	require.NoError(t, err)
	s.job = strings.TrimSpace(strings.TrimPrefix(line, "Job ID: "))
	for range 3 { // one by one, for it costs the time from the first to the last
		drops.drip(1)
		_, err = s.out.Peek(1)
		require.NoError(t, err)
		_, err = s.out.Discard(s.out.Buffered())
		require.NoError(t, err)
	}
	return s
}

// end gives what else it prints, and its exit code.
func (s *streaming) end(t *testing.T) (string, int) {
	t.Helper()
	rest, err := io.ReadAll(s.out)
	require.NoError(t, err)
	if err := s.command.Wait(); err != nil {
		require.ErrorAs(t, err, new(*exec.ExitError))
	}
	return string(rest), s.command.ProcessState.ExitCode()
}

// TestAnInterruptedStreamCancelsItsJobWhereThatIsAskedFor ends the command line in the middle of an answer: by
// Ctrl-C, upon which it tells what the job has cost, and by a kill.
func TestAnInterruptedStreamCancelsItsJobWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)

	stays := startStreaming(t, n, drops)
	require.NoError(t, stays.command.Process.Signal(os.Interrupt))
	_, code := stays.end(t)
	require.Equal(t, 130, code)
	require.Contains(t, stays.stderr.String(), "the job goes on: aitbc status "+stays.job)
	close(drops.drops)
	awaitStatus(t, n, stays.job, "completed")

	drops = newDripping()
	engine.set(drops.fault)
	told := startStreaming(t, n, drops, "--cancel-on-disconnect")
	require.NoError(t, told.command.Process.Signal(os.Interrupt))
	text, code := told.end(t)
	require.Equal(t, 130, code, told.stderr.String())
	job := awaitStatus(t, n, told.job, "cancelled")
	require.Contains(t, text, "Status: cancelled\n")
	cost := regexp.MustCompile(`Cost: ([0-9.]+) AITBC`).FindStringSubmatch(text)
	require.NotNil(t, cost, text)
	require.Equal(t, job.text("cost"), cost[1]+"aitbc")
	require.Contains(t, text, "Refund: ")
	requirePartPaid(t, n, told.job, job.text("result"))

	killed := startStreaming(t, n, drops, "--cancel-on-disconnect")
	require.NoError(t, killed.command.Process.Kill())
	job = awaitStatus(t, n, killed.job, "cancelled")
	requirePartPaid(t, n, killed.job, job.text("result"))
	requireConserved(t, n)
}
