//go:build unix

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/aitbc/aitbc/services/internal/crash"
)

const unfinished = ".unfinished"

// lockFolder takes the folder for this process. The kernel lets go when the process ends.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the spool's lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the spool: %w", err), file.Close())
	}
	return file, nil
}

// writeDurably makes dir/name hold content, whole or not at all.
func writeDurably(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	file, err := os.OpenFile(path+unfinished, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create record: %w", err)
	}
	_, err = file.Write(content)
	crash.At("miner/write/unsynced")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write record: %w", err), os.Remove(path+unfinished))
	}
	crash.At("miner/write/synced")
	if err := os.Rename(path+unfinished, path); err != nil {
		return fmt.Errorf("place record: %w", err)
	}
	crash.At("miner/write/placed")
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
