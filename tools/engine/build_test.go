package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryModuleFilePinsTheSameOllama(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"ollama/go.mod", "../../go.mod"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(text), ollamaModule+" "+ollamaVersion, path)
	}
}

func TestTheToolModuleIsFoundFromAnyFolderOfTheTree(t *testing.T) {
	dir, err := moduleDir()
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "go.sum"))

	t.Chdir(t.TempDir())
	_, err = moduleDir()
	require.ErrorIs(t, err, errOutsideTree)
}

func TestConcurrentProcessesBuildOnce(t *testing.T) {
	t.Parallel()
	var builds atomic.Int32
	fake := func(_ context.Context, _, output string, _ progress) error {
		builds.Add(1)
		return os.WriteFile(output, []byte("binary"), 0o700)
	}
	cache := t.TempDir()
	var group sync.WaitGroup
	for range 8 { // each opens the lock file for itself, as a process does
		group.Go(func() {
			path, err := ensureBuilt(t.Context(), cache, progress{&strings.Builder{}}, fake)
			if err != nil || !isBuilt(path) {
				t.Errorf("path %q, error %v", path, err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, builds.Load())
}

func TestAFailedBuildIsNotKept(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	broken := func(_ context.Context, _, output string, _ progress) error {
		return errors.Join(errBroken, os.WriteFile(output, []byte("half"), 0o700))
	}
	whole := func(_ context.Context, _, output string, _ progress) error {
		return os.WriteFile(output, []byte("whole"), 0o700)
	}
	cache := t.TempDir()
	_, err := ensureBuilt(t.Context(), cache, progress{&strings.Builder{}}, broken)
	require.ErrorIs(t, err, errBroken)
	path, err := ensureBuilt(t.Context(), cache, progress{&strings.Builder{}}, whole)
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "whole", string(text))
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, progress{&strings.Builder{}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = lock(ctx, path, progress{&strings.Builder{}})
	require.ErrorIs(t, err, context.Canceled)
	unlock()
	unlock, err = lock(t.Context(), path, progress{&strings.Builder{}})
	require.NoError(t, err)
	unlock()
}

func TestMissingPartsAreNamedWithTheCommandThatInstallsThem(t *testing.T) {
	t.Parallel()
	here, err := findToolchain(t.Context())
	require.NoError(t, err)
	here.installer = ""
	noCompiler, noHeader, cannotInstall := here, here, here
	noCompiler.cxx = []string{"no-such-compiler"}
	noHeader.header = "nlohmann/no_such_header.hpp"
	cannotInstall.cxx, cannotInstall.installer = []string{"no-such-compiler"}, "false"
	for situation, c := range map[string]struct {
		toolchain toolchain
		want      []string
	}{
		"no compiler":            {noCompiler, []string{"a C++ compiler (no-such-compiler)", "apt-get install -y --no-install-recommends g++", "OLLAMA_HOST"}},
		"no header":              {noHeader, []string{"the C++ header nlohmann/no_such_header.hpp", "apt-get install -y --no-install-recommends nlohmann-json3-dev"}},
		"the installation fails": {cannotInstall, []string{"apt-get install -y --no-install-recommends g++", "failed: apt-get update: exit status 1"}},
	} {
		err := c.toolchain.require(t.Context(), progress{&strings.Builder{}})
		var missing *MissingError
		require.ErrorAs(t, err, &missing, situation)
		for _, text := range c.want {
			require.ErrorContains(t, err, text, situation)
		}
	}
	require.NoError(t, here.require(t.Context(), progress{&strings.Builder{}}), "this machine has all")
}

func TestAMissingHeaderIsInstalledWhereItMayBe(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CPLUS_INCLUDE_PATH", dir)
	aptGet := filepath.Join(dir, "apt-get")
	require.NoError(t, os.WriteFile(aptGet, []byte("#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho \"$@\" >>calls\n: >probe.hpp\n"), 0o700))
	tools, err := findToolchain(t.Context())
	require.NoError(t, err)
	tools.header, tools.installer = "probe.hpp", aptGet

	var told strings.Builder
	require.NoError(t, tools.require(t.Context(), progress{&told}))
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	require.NoError(t, err)
	require.Equal(t, "update\ninstall -y --no-install-recommends nlohmann-json3-dev\n", string(calls))
	require.Contains(t, told.String(), "installing nlohmann-json3-dev, which the build of Ollama needs")
	require.NoError(t, tools.require(t.Context(), progress{&told}))
	again, err := os.ReadFile(filepath.Join(dir, "calls"))
	require.NoError(t, err)
	require.Equal(t, calls, again, "what is there is not installed again")
}

func TestAnOwnEnginesEnvironmentHasNoSettingsOfTheOwner(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"PATH=/bin", "LANG=C"}, environment([]string{"PATH=/bin", "HOME=/home/a", "OLLAMA_MODELS=/big", "LANG=C", "OLLAMA_HOST=0.0.0.0"}))
}

func TestTheLogTailFindsTheAddressInPieces(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	l := newLogTail(&file)
	for _, piece := range []string{"level=INFO msg=\"Listen", "ing on 127.0.0.1:454", "69 (version 0.17.4)\"\n", strings.Repeat("x", 2*maxTailBytes), "end"} {
		n, err := l.Write([]byte(piece))
		require.NoError(t, err)
		require.Len(t, piece, n)
	}
	require.Equal(t, "127.0.0.1:45469", <-l.listening)
	require.Len(t, l.tail, maxTailBytes)
	require.Equal(t, "xend", l.last(4))
	require.Contains(t, file.String(), "45469")
}
