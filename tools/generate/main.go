// Command generate makes everything that follows from the contracts in
// proto/aitbc: proto/third_party, gen/go and gen/openapi. It also holds the
// contracts to their rules: buf lint, buf format, and no break with the
// released contract.
//
//	go run ./tools/generate             format and generate; a second run changes nothing
//	go run ./tools/generate -check      change nothing; fail when the above would change something
//	go run ./tools/generate -release    also make the contracts of now the released ones
//
// Invariants: nothing is fetched except Go modules; output is made in a
// temporary folder and only then laid over the tree, file by file and only where
// it differs, so a failing run leaves the tree as it was and programs that are
// being built meanwhile see no gap; files that are no longer generated are
// removed.
//
// The released contract is proto/released.binpb, a file descriptor set. It is
// in the tree because the last release cannot be found in a shallow clone.
// Between releases a contract may change in any way that is compatible with it;
// a break on purpose is made by -release, and shows in review as a changed file.
//
// Start reading at generate in pipeline.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/aitbc/aitbc/tools/internal/toolbin"
)

// runTimeout covers a first run that builds all tools on a busy machine.
const runTimeout = 30 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	check := flags.Bool("check", false, "change nothing; fail when something would change")
	release := flags.Bool("release", false, "make the present contracts the released ones, breaks included")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("reading flags: %w", err)
	}
	if *check && *release {
		return fmt.Errorf("-check and -release exclude each other")
	}
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	root, err := toolbin.Root()
	if err != nil {
		return err
	}
	return generate(ctx, options{root: root, check: *check, release: *release, out: os.Stderr})
}
