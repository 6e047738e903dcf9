// Package toolbin builds the pinned command-line tools of the project once and
// keeps them in a cache outside the tree.
//
// Each set of tools is a Go module of its own under tools/, so that what a tool
// needs never moves a version in the main module. Invariants: the folder that
// Build returns holds every tool of that module, complete, built from exactly
// the go.mod and go.sum beside it with the Go version that is asked now; a
// folder is never changed once it is there; of several processes that want the
// same set one builds and the others wait.
//
// Start reading at Build.
package toolbin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// CacheVariable names the environment variable that moves the cache.
const CacheVariable = "AITBC_CACHE"

// buildTimeout is about three times what buf takes on two busy cores with cold
// caches (5 minutes).
const buildTimeout = 15 * time.Minute

// CacheDir is the folder for things that are expensive to make and belong to no
// tree: $AITBC_CACHE, else aitbc in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheVariable); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("resolving %s: %w", CacheVariable, err)
		}
		return abs, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache folder (set %s to choose one): %w", CacheVariable, err)
	}
	return filepath.Join(dir, "aitbc"), nil
}

// Build returns a folder with the programs named by the tool lines of the
// module in moduleDir, building them when the cache does not have them. It
// blocks while another process builds the same set, until ctx ends. Progress
// goes to out, only when there is something to wait for.
func Build(ctx context.Context, moduleDir string, out io.Writer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	key, err := cacheKey(ctx, moduleDir)
	if err != nil {
		return "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	name := filepath.Base(moduleDir)
	final := filepath.Join(cache, "tools", name+"-"+key)
	if exists(final) {
		return final, nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", fmt.Errorf("making the tool cache: %w", err)
	}
	stop := progress(out, "building tools/"+name+" (once; up to five minutes)")
	defer stop()
	unlock, err := lock(ctx, final+".lock")
	if err != nil {
		return "", fmt.Errorf("waiting for another build of tools/%s: %w", name, err)
	}
	defer unlock()
	if exists(final) {
		return final, nil
	}
	if err := build(ctx, moduleDir, final); err != nil {
		return "", fmt.Errorf("building tools/%s: %w", name, err)
	}
	return final, nil
}

// build compiles beside the final folder and moves it there as a whole, so an
// interrupted build leaves nothing that looks complete.
func build(ctx context.Context, moduleDir, final string) error {
	work, err := os.MkdirTemp(filepath.Dir(final), filepath.Base(final)+".tmp-")
	if err != nil {
		return fmt.Errorf("making a work folder: %w", err)
	}
	// The error of a removal that finds the folder moved away says nothing.
	defer func() { _ = os.RemoveAll(work) }()
	var output bytes.Buffer
	cmd := goCommand(ctx, moduleDir, "build", "-trimpath", "-ldflags=-s -w", "-o", work+string(filepath.Separator), "tool")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, output.Bytes())
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return fmt.Errorf("opening the work folder to others: %w", err)
	}
	if err := os.Rename(work, final); err != nil && !exists(final) {
		return fmt.Errorf("moving the tools to their place: %w", err)
	}
	return nil
}

// cacheKey changes whenever the programs could: with a pinned version, with the
// Go release, with the platform.
func cacheKey(ctx context.Context, moduleDir string) (string, error) {
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(moduleDir, name))
		if err != nil {
			return "", fmt.Errorf("reading the pinned versions: %w", err)
		}
		hash.Write(content)
		hash.Write([]byte{0})
	}
	version, err := goCommand(ctx, moduleDir, "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("asking Go for its version: %w", err)
	}
	hash.Write(version)
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// goCommand shields the tool modules from a workspace file around the tree and
// from flags meant for the caller's own build.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	return cmd
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
