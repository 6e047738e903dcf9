package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A newcomer follows what the program says to do next, until there is an answer.
func TestANewcomerGetsAnAnswer(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	home := t.TempDir()
	key := ""
	aitbc := func(args ...string) output {
		environment := []string{
			"HOME=" + home, "AITBC_CONFIG=", "AITBC_URL=http://" + n.CoordinatorREST, "AITBC_LEDGER=" + n.LedgerGRPC, "AITBC_API_KEY=" + key, "CLIENT_KEY=",
		}
		return execute(t, environment, filepath.Join(programs, "aitbc"), args...)
	}
	ask := func(more ...string) output {
		return aitbc(append([]string{"run", "--model", "tiny", "--prompt", question, "--option", "temperature=0"}, more...)...)
	}

	out := ask()
	require.Equal(t, 4, out.Code, out.Stderr)
	require.Contains(t, out.Stderr, "aitbc account create")
	out = aitbc("account", "create")
	require.Zero(t, out.Code, out.Stderr)
	address, file := line(out.Stdout, "Account: "), filepath.Join(home, ".config", "aitbc", "account.key")
	require.Contains(t, out.Stdout, "aitbc keys create --account "+address)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	key = adminKey // the admin's part
	out = aitbc("keys", "create", "--account", address)
	require.Zero(t, out.Code, out.Stderr)
	key = line(out.Stdout, "Key: ")
	out = ask()
	require.Equal(t, 5, out.Code, out.Stderr)
	require.Contains(t, out.Stderr, "aitbc account faucet")
	out = aitbc("account", "faucet")
	require.Zero(t, out.Code, out.Stderr)
	require.Equal(t, "100 AITBC", line(out.Stdout, "Sent: "))
	out = aitbc("account", "faucet")
	require.Equal(t, "0 AITBC", line(out.Stdout, "Sent: "), "a repeat sends nothing more")
	require.Equal(t, "100 AITBC", line(aitbc("account", "balance").Stdout, "Balance: "))

	out = ask()
	require.Equal(t, 5, out.Code, "it has tokens, and the operator may not spend them")
	require.Contains(t, out.Stderr, "--key-file")
	require.Contains(t, out.Stderr, "aitbc account allowance set")
	out = ask("--key-file", file)
	require.Zero(t, out.Code, out.Stderr)
	require.Contains(t, out.Stdout, answer)

	out = aitbc("account", "allowance", "set", "10aitbc", "--per-day", "8aitbc", "--life", "24h")
	require.Zero(t, out.Code, out.Stderr)
	require.Equal(t, "10 AITBC", line(out.Stdout, "Allowance: "))
	out = ask()
	require.Zero(t, out.Code, out.Stderr)
	require.Contains(t, out.Stdout, answer)
	out = aitbc("account", "allowance", "-o", "json")
	require.Contains(t, out.Stdout, `"per_day": "8aitbc"`)
	out = aitbc("account", "allowance", "revoke")
	require.Equal(t, "0 AITBC", line(out.Stdout, "Allowance: "), out.Stderr)
	require.Equal(t, 5, ask().Code)
}
