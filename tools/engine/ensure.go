//go:build unix

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// lockPoll is how often a waiting process tries for the build lock. The
// blocking form of the call could not be cancelled.
const lockPoll = 200 * time.Millisecond

// Ensure returns the path of an Ollama binary: the one on PATH, else the one
// in the cache, which it builds first if it is not there. Several processes
// may call it at once: one builds, the others wait for it.
//
// The cache is the folder that AITBC_CACHE names, or "aitbc" in the user's
// cache folder. A build that cannot start for want of a tool gives a
// *MissingError, which names it.
func Ensure(ctx context.Context, progressTo io.Writer) (string, error) {
	if path, err := exec.LookPath("ollama"); err == nil {
		return path, nil
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	if progressTo == nil {
		progressTo = io.Discard
	}
	return ensureBuilt(ctx, cache, progress{progressTo}, build)
}

// ensureBuilt returns the cached binary, made by the given builder when absent.
func ensureBuilt(ctx context.Context, cache string, tell progress, build builder) (string, error) {
	key, err := buildKey()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "engine", key)
	binary := filepath.Join(dir, "ollama")
	if isBuilt(binary) {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the engine's cache folder: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"), tell)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isBuilt(binary) { // by the process that we waited for
		return binary, nil
	}
	// Under the lock one name is enough, and what a killed build left is overwritten.
	unfinished := binary + ".unfinished"
	if err := build(ctx, dir, unfinished, tell); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, binary); err != nil {
		return "", fmt.Errorf("keep the built Ollama: %w", err)
	}
	return binary, nil
}

func isBuilt(binary string) bool {
	_, err := os.Stat(binary)
	return err == nil
}

func cacheDir() (string, error) {
	if dir := os.Getenv("AITBC_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder (AITBC_CACHE can name one): %w", err)
	}
	return filepath.Join(dir, "aitbc"), nil
}

// lock takes the lock file at path. The kernel lets go of it when this process
// ends, however it ends.
func lock(ctx context.Context, path string, tell progress) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the build lock: %w", err)
	}
	err = tell.during("waiting for another process that builds Ollama", func() error {
		tick := time.NewTicker(lockPoll)
		defer tick.Stop()
		for {
			err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take the build lock: %w", err), file.Close())
	}
	return func() { _ = file.Close() }, nil // closing lets go
}
