package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/internal/debian"
)

var (
	fenced   = regexp.MustCompile("(?ms)^```(sh|python|go)\n(.*?)^```$")
	expected = regexp.MustCompile(`(?m)^\s*(?:#|//) => (.*)$`)
)

// Every block of the guides runs as it is, and prints what the guide says. The shell blocks of a guide
// are one script, so that a later one may use an earlier one's variables.
func TestTheGuidesRun(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob("../../docs/guides/*.md")
	require.NoError(t, err)
	require.Greater(t, len(guides), 4)
	n := startWithEngine(t)
	for _, file := range guides {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			script := "set -euo pipefail\n"
			var programs [][]string
			for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
				if block[1] == "sh" {
					script += block[2]
					continue
				}
				programs = append(programs, block[1:])
			}
			runSnippet(t, n, script, "bash", "bash", "script")
			for i, p := range programs {
				if p[0] == "go" {
					runSnippet(t, n, p[1], "go", "go", fmt.Sprintf("main%d.go", i), "run")
				} else {
					runSnippet(t, n, p[1], "python3", "python3", "program.py", "-B")
				}
			}
		})
	}
}

// runSnippet runs a snippet, with the network's addresses in place of the documented ones.
func runSnippet(t *testing.T, n *network.Network, snippet, program, pkg, name string, args ...string) {
	t.Helper()
	path, err := debian.Program(t.Context(), program, pkg)
	require.NoError(t, err)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	snippet = strings.NewReplacer(
		"127.0.0.1:18000", n.CoordinatorREST, "127.0.0.1:18002", n.CoordinatorGRPC, "127.0.0.1:18003", n.LedgerGRPC,
		"bin/aitbc", filepath.Join(programs, "aitbc"), "bin/grpcurl", grpcurl(t),
		"python3 clients/python", "python3 -B "+filepath.Join(root, "clients/python"),
	).Replace(snippet)
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file, []byte(snippet), 0o600))
	command := exec.CommandContext(t.Context(), path, append(args, file)...)
	command.Dir = dir
	if program == "go" {
		command.Dir = root // for its module
	}
	command.Env = append(os.Environ(), "AITBC_CONFIG="+filepath.Join(dir, "config.yaml"), "PYTHONPATH="+filepath.Join(root, "clients/python"))
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s\n%s", snippet, out)
	for _, want := range expected.FindAllStringSubmatch(snippet, -1) {
		require.Contains(t, string(out), want[1], snippet)
	}
}

// grpcurl gives the program that `make build` puts into bin/.
func grpcurl(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "run", "./tools/tool", "-path", "grpcurl/grpcurl")
	command.Dir = "../.."
	out, err := command.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
