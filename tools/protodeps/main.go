// Command protodeps writes proto/third_party: the .proto files of others that
// our contracts import.
//
// They live in the tree because the schema registry that usually serves them
// need not be reachable: everything here comes out of Go modules. google/api
// and google/rpc are printed from the descriptors inside genproto (those
// modules carry no .proto files), buf/validate is copied from the module of
// protovalidate.
//
// Invariants: the versions are those of this module's go.mod and nothing else;
// two runs write the same bytes; the folder holds nothing but what is written
// here. TestThirdPartyMatchesGoCode holds each file against the Go code that is
// linked for it.
//
// Run it from the root of the project as
//
//	go -C tools/protodeps run .
//
// Start reading at collect in collect.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "protodeps:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("protodeps", flag.ContinueOnError)
	out := flags.String("out", filepath.Join("..", "..", "proto", "third_party"),
		"folder to write; everything else in it is removed")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("reading flags: %w", err)
	}
	files, err := collect(ctx)
	if err != nil {
		return err
	}
	return write(*out, files)
}

// write replaces the folder as a whole, so that a file dropped from the list
// does not linger and still satisfy an import.
func write(dir string, files map[string][]byte) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("emptying %s: %w", dir, err)
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the folder of %s: %w", name, err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
