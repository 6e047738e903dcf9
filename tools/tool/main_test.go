package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The code generators stand for all tools: `make generate` has them built anyway.
const generator = "protoc/protoc-gen-go"

func TestAToolRunsWithItsArguments(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{generator, "--version"}, nil, &out, io.Discard))
	require.Regexp(t, `^protoc-gen-go v\d+\.\d+\.\d+`, out.String())
}

func TestTheToolsFailureIsPassedOn(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	err := run(t.Context(), []string{generator, "--no-such-flag"}, nil, io.Discard, &said)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, said.String(), "no-such-flag")
}

func TestThePathIsThatOfAProgram(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"-path", generator}, nil, &out, io.Discard))
	path := strings.TrimSuffix(out.String(), "\n")
	require.True(t, filepath.IsAbs(path), path)
	require.FileExists(t, path)
}

func TestWhatIsNoToolIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want error
		text string
	}{
		"nothing":                 {nil, errUsage, "MODULE/PROGRAM"},
		"a module alone":          {[]string{"protoc"}, errUsage, "MODULE/PROGRAM"},
		"an unknown flag":         {[]string{"-nonsense", generator}, errUsage, "MODULE/PROGRAM"},
		"a path with arguments":   {[]string{"-path", generator, "--version"}, errUsage, "MODULE/PROGRAM"},
		"a folder that is none":   {[]string{"missing/program"}, errNoTool, "tools/missing"},
		"a folder of our own":     {[]string{"tool/tool"}, errNoTool, "tools/tool"},
		"a program it has not":    {[]string{"protoc/protoc-gen-none"}, errNoTool, "protoc-gen-none"},
		"the module and no name":  {[]string{"protoc/"}, errUsage, "MODULE/PROGRAM"},
		"a way out of the folder": {[]string{"../protoc-gen-go"}, errUsage, "MODULE/PROGRAM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), c.args, nil, io.Discard, io.Discard)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
		})
	}
}
