package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/internal/config"
)

type settings struct {
	url   string
	wait  time.Duration
	peers []string
	tls   bool
}

func load(t *testing.T, args []string, env map[string]string, file string) (settings, map[string]config.Source, error) {
	t.Helper()
	s := settings{}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFileFlag(flags)
	flags.StringVar(&s.url, "ledger-url", "http://default", "where the ledger's JSON-RPC is")
	flags.DurationVar(&s.wait, "queue-wait", time.Minute, "how long a job | waits")
	flags.StringSliceVar(&s.peers, "peers", nil, "others")
	flags.BoolVar(&s.tls, "tls", false, "encrypt")
	if file != "" {
		path := filepath.Join(t.TempDir(), "aitbc.yaml")
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
		args = append(args, "--config", path)
	}
	require.NoError(t, flags.Parse(args))
	sources, err := config.Load(flags, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	return s, sources, err
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := "ledger-url: http://file\nqueue-wait: 3s\n"
	env := map[string]string{"AITBC_LEDGER_URL": "http://env"}
	for name, test := range map[string]struct {
		args   []string
		env    map[string]string
		file   string
		want   string
		source config.Source
	}{
		"nothing is given":                 {want: "http://default", source: config.FromDefault},
		"the file wins over the default":   {file: file, want: "http://file", source: config.FromFile},
		"the environment wins over a file": {file: file, env: env, want: "http://env", source: config.FromEnv},
		"a flag wins over all":             {args: []string{"--ledger-url", "http://flag"}, file: file, env: env, want: "http://flag", source: config.FromFlag},
		"an empty variable is not given":   {env: map[string]string{"AITBC_LEDGER_URL": ""}, want: "http://default", source: config.FromDefault},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, sources, err := load(t, test.args, test.env, test.file)
			require.NoError(t, err)
			require.Equal(t, test.want, got.url)
			require.Equal(t, test.source, sources["ledger-url"])
		})
	}
}

func TestAFlagMayHaveAVariableOfItsOwn(t *testing.T) {
	t.Parallel()
	env := map[string]string{"AITBC_LEDGER": "127.0.0.1:18003", "AITBC_LEDGER_KIND": "none"}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	ledger := flags.String("ledger", "cometbft", "where jobs are paid")
	config.SetEnvName(flags, "ledger", "AITBC_LEDGER_KIND")
	_, err := config.Load(flags, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	require.NoError(t, err)
	require.Equal(t, "none", *ledger)
	require.Panics(t, func() { config.SetEnvName(flags, "no-flag", "AITBC_NONE") })
}

func TestTypesOfTheFile(t *testing.T) {
	t.Parallel()
	got, _, err := load(t, nil, nil, "queue-wait: 90s\npeers:\n  - a\n  - b\ntls: true\n")
	require.NoError(t, err)
	require.Equal(t, settings{url: "http://default", wait: 90 * time.Second, peers: []string{"a", "b"}, tls: true}, got)
}

func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  map[string]string
		file string
		want []string
	}{
		"unknown keys, all of them": {file: "leger-url: x\ntls: true\nqueue: 1s\n", want: []string{`line 1: unknown setting "leger-url"`, `line 3: unknown setting "queue"`}},
		"a file in a file":          {file: "config: other.yaml\n", want: []string{`unknown setting "config"`}},
		"a bad value in the file":   {file: "queue-wait: soon\n", want: []string{`line 1: setting "queue-wait": "soon"`}},
		"a bad value in the env":    {env: map[string]string{"AITBC_QUEUE_WAIT": "soon"}, want: []string{"AITBC_QUEUE_WAIT", `"soon"`}},
		"a key twice":               {file: "tls: true\ntls: false\n", want: []string{`line 2: setting "tls" was given on line 1 already`}},
		"a list for one value":      {file: "ledger-url: [a, b]\n", want: []string{`setting "ledger-url": takes one value`}},
		"nesting":                   {file: "ledger:\n  url: x\n", want: []string{`setting "ledger": want a value or a list`}},
		"no mapping":                {file: "- ledger-url\n", want: []string{"want lines such as"}},
		"no YAML":                   {file: "a: [", want: []string{"config file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := load(t, nil, test.env, test.file)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	t.Parallel()
	_, _, err := load(t, []string{"--config", filepath.Join(t.TempDir(), "none.yaml")}, nil, "")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReferenceListsAllSettings(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Duration("queue-wait", time.Minute, "how long a job | waits")
	flags.String("ledger-url", "", "where")
	require.Equal(t, `| flag and file key | environment | type | default | meaning |
|---|---|---|---|---|
| `+"`ledger-url` | `AITBC_LEDGER_URL` | string | - | where |"+`
| `+"`queue-wait` | `AITBC_QUEUE_WAIT` | duration | `1m0s` | how long a job \\| waits |\n", config.Reference(flags))
}

func FuzzTheFile(f *testing.F) {
	f.Add("tls: true\npeers: [a]\n")
	f.Add("a: &x\n b: *x\n")
	f.Fuzz(func(t *testing.T, file string) {
		path := filepath.Join(t.TempDir(), "aitbc.yaml")
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		config.AddFileFlag(flags)
		flags.Bool("tls", false, "")
		require.NoError(t, flags.Parse([]string{"--config", path}))
		// Whatever the file holds: an error or a value, no panic.
		_, _ = config.Load(flags, func(string) (string, bool) { return "", false })
	})
}
