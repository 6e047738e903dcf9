package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type changeKind string

const (
	added   changeKind = "missing"
	edited  changeKind = "differs"
	removed changeKind = "surplus"
)

// change is one file in which the tree differs from what was generated.
type change struct {
	kind changeKind
	// name is relative to the compared folder, with slashes.
	name string
	// target is the file in the tree.
	target string
	// content is what it must hold; nil when it must go.
	content []byte
}

// compare lists, sorted by name, how the folder have must change to equal the
// folder want. A folder that does not exist counts as empty.
func compare(want, have string) ([]change, error) {
	wanted, err := readTree(want)
	if err != nil {
		return nil, fmt.Errorf("reading what was generated: %w", err)
	}
	present, err := readTree(have)
	if err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	var changes []change
	for name, content := range wanted {
		old, ok := present[name]
		kind := edited
		switch {
		case !ok:
			kind = added
		case bytes.Equal(old, content):
			continue
		}
		changes = append(changes, change{kind, name, filepath.Join(have, filepath.FromSlash(name)), content})
	}
	for name := range present {
		if _, ok := wanted[name]; !ok {
			changes = append(changes, change{removed, name, filepath.Join(have, filepath.FromSlash(name)), nil})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return strings.Compare(a.name, b.name) })
	return changes, nil
}

// apply carries the changes out. Each file is replaced in one step, so a
// compiler that runs meanwhile never reads half of one.
func apply(changes []change) error {
	for _, c := range changes {
		if c.kind == removed {
			if err := os.Remove(c.target); err != nil {
				return fmt.Errorf("removing what is no longer generated: %w", err)
			}
			continue
		}
		if err := replace(c.target, c.content); err != nil {
			return fmt.Errorf("writing %s: %w", c.name, err)
		}
	}
	return nil
}

func replace(target string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	// The leading dot keeps the half-written file out of Go's sight.
	temp := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".tmp")
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		return err
	}
	if err := os.Rename(temp, target); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// readTree returns the files below dir by their names relative to it.
func readTree(dir string) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = content
		return err
	})
	return files, err
}
