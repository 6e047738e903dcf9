//go:build unix

package engine

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// ollamaVersion is the one that tools/engine/ollama/go.mod pins; a test holds the two together.
	ollamaVersion = "v0.17.4"
	ollamaModule  = "github.com/ollama/ollama"
	// buildLimit is far over the 8 minutes that two busy cores need.
	buildLimit = time.Hour
	// interruptGrace is what the go command gets to remove its temporary files.
	interruptGrace = 5 * time.Second
)

// The headers that Ollama's sources include and its Go module lacks.
//
//go:embed stub/*/*.h
var stubs embed.FS

// builder makes an Ollama binary at output; dir is a folder for what it needs on the way.
type builder func(ctx context.Context, dir, output string, tell progress) error

// buildKey names a build by all that goes into it. Pinned dependencies need no
// part in it: they change with the version only.
func buildKey() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(stubs, "stub", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := stubs.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("hash the stub headers: %w", err)
	}
	hash := hex.EncodeToString(sum.Sum(nil))[:12]
	return strings.Join([]string{"ollama", ollamaVersion, hash, runtime.GOOS, runtime.GOARCH}, "-"), nil
}

// build compiles Ollama with cgo alone from the tool module beside this file.
func build(ctx context.Context, dir, output string, tell progress) error {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	module, err := moduleDir()
	if err != nil {
		return err
	}
	tools, err := findToolchain(ctx)
	if err != nil {
		return err
	}
	if err := tools.require(ctx, tell); err != nil {
		return err
	}
	include := filepath.Join(dir, "include")
	if err := os.RemoveAll(include); err != nil { // of a build that was killed: they may be cut short
		return fmt.Errorf("remove old stub headers: %w", err)
	}
	if err := os.CopyFS(include, stubs); err != nil {
		return fmt.Errorf("write the stub headers: %w", err)
	}
	tell.say("building Ollama %s from its Go module, once for this machine: about 8 minutes on two cores", ollamaVersion)
	return tell.during("building Ollama "+ollamaVersion, func() error {
		return compile(ctx, module, filepath.Join(include, "stub"), output)
	})
}

func compile(ctx context.Context, module, include, output string) error {
	version := strings.TrimPrefix(ollamaVersion, "v")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", output,
		"-ldflags", "-s -w -X "+ollamaModule+"/version.Version="+version, ollamaModule)
	cmd.Dir = module
	// The compiler finds the stubs through CPLUS_INCLUDE_PATH, which is no part
	// of Go's own cache key: whoever changes a stub runs `go clean -cache` too.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off",
		"CPLUS_INCLUDE_PATH="+strings.TrimSuffix(include+string(os.PathListSeparator)+os.Getenv("CPLUS_INCLUDE_PATH"), string(os.PathListSeparator)))
	if text, err := runGroup(cmd); err != nil {
		return fmt.Errorf("build Ollama %s: %w: %s", ollamaVersion, err, lastBytes(text, 3000))
	}
	// One that cannot even say its version must not be kept.
	text, err := runGroup(exec.CommandContext(ctx, output, "--version"))
	if err != nil || !strings.Contains(string(text), version) {
		return fmt.Errorf("the built Ollama does not say version %s but %q (%w)", version, text, err)
	}
	return nil
}

// runGroup runs cmd and returns its output. When its context ends, the whole
// process group is interrupted: the go command's compilers must not run on.
func runGroup(cmd *exec.Cmd) ([]byte, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = interruptGrace
	return cmd.CombinedOutput()
}

func lastBytes(text []byte, n int) []byte { return text[max(0, len(text)-n):] }

var errOutsideTree = errors.New("that needs the project's tree: run this inside it, or install Ollama")

// moduleDir finds the tool module that pins Ollama, from the working folder
// upwards. It cannot be embedded: a module does not hold another.
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the Ollama tool module: %w", err)
	}
	for {
		module := filepath.Join(dir, "tools", "engine", "ollama")
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("build Ollama: %w", errOutsideTree)
		}
		dir = parent
	}
}
