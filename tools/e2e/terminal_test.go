package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/internal/debian"
)

// terminal is a program on a pseudo-terminal, as somebody at a keyboard has it.
type terminal struct {
	t       *testing.T
	command *exec.Cmd
	keys    io.WriteCloser

	mu     sync.Mutex
	screen strings.Builder
	seen   int // of the screen, by await
}

// Write implements io.Writer, for what the terminal shows.
func (p *terminal) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.Write(text)
}

// onTerminal starts a command line on a terminal. The shell that script asks becomes the program: some shells
// stay beside it, and end by an interrupt that the program takes well.
func onTerminal(t *testing.T, environment []string, line string) *terminal {
	t.Helper()
	script, err := debian.Program(t.Context(), "script", "bsdutils")
	require.NoError(t, err)
	p := &terminal{t: t, command: exec.CommandContext(t.Context(), script, "--quiet", "--return", "--echo", "always", "--command", "exec "+line, "/dev/null")}
	p.command.Env = append(os.Environ(), environment...)
	p.command.Stdout = p
	p.keys, err = p.command.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, p.command.Start())
	return p
}

// await waits until the terminal shows a text behind what was awaited before.
func (p *terminal) await(text string) {
	p.t.Helper()
	eventually(p.t, "the terminal to show "+text, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		i := strings.Index(p.screen.String()[p.seen:], text)
		if i < 0 {
			return false
		}
		p.seen += i + len(text)
		return true
	})
}

func (p *terminal) enter(line string) {
	p.t.Helper()
	_, err := io.WriteString(p.keys, line+"\n")
	require.NoError(p.t, err)
}

func TestAConversationOnATerminal(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	environment := []string{"AITBC_URL=http://" + n.CoordinatorREST, "AITBC_API_KEY=" + clientKey, "HOME=" + t.TempDir(), "TERM=xterm"}
	p := onTerminal(t, environment, filepath.Join(programs, "aitbc")+" chat --model tiny --option temperature=0")

	p.await("> ")
	p.enter(question)
	p.await(answer)
	p.await("> ")
	p.enter("/cost")
	p.await(" AITBC")
	p.await("> ")
	p.enter("/reset")
	p.await("> ")
	p.enter(question)
	p.await(answer)
	p.await("> ")
	p.enter("/exit")

	require.NoError(t, p.command.Wait(), p.screen.String())
	t.Logf("the terminal: %q", p.screen.String())
}
