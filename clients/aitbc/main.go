// Command aitbc is the command-line client of an AITBC network.
//
//	aitbc run --model llama3.2:latest --prompt "What is machine learning?"
//
// It is a thin layer over package github.com/aitbc/aitbc/clients/go: flags in, lines or JSON out.
// docs/cli.md is its reference.
//
// Invariants: answers go to standard output, everything else to standard error; the exit code says
// what class of thing went wrong (exit.go); a job's id is never lost once it is submitted.
//
// Start reading at newRoot in root.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// streams are what the program reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv})
	stop()
	os.Exit(code)
}

// run runs one command line and gives the exit code.
func run(ctx context.Context, args []string, s streams) int {
	app := newApp(s)
	root := newRoot(app)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if !app.started {
		err = usageError{err}
	}
	return app.fail(ctx, err)
}
