// Command tool runs one of the project's pinned command-line tools, building it
// first when this machine has not built that version yet.
//
//	go run ./tools/tool golangci/golangci-lint run ./...    the module under tools/, its program, its arguments
//	go run ./tools/tool -path grpcurl/grpcurl               only print where the program is
//
// The tool sees the caller's working folder, input and output, and its exit
// status is this command's. Which versions there are is pinned in the modules
// under tools/; tools/internal/toolbin says when something is built anew.
//
// Start reading at run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/aitbc/aitbc/tools/internal/toolbin"
)

var (
	errUsage  = errors.New("usage: tool [-path] MODULE/PROGRAM [ARGUMENT ...]")
	errNoTool = errors.New("no such tool")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Exited():
		os.Exit(exit.ExitCode()) // the tool has said why
	default:
		fmt.Fprintln(os.Stderr, "tool:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out, messages io.Writer) error {
	flags := flag.NewFlagSet("tool", flag.ContinueOnError)
	flags.SetOutput(messages)
	onlyPath := flags.Bool("path", false, "print the program's path and do not run it")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	module, program, ok := strings.Cut(flags.Arg(0), "/")
	if !ok || !fs.ValidPath(flags.Arg(0)) || (*onlyPath && flags.NArg() > 1) {
		return errUsage
	}
	path, err := find(ctx, module, program, messages)
	if err != nil {
		return err
	}
	if *onlyPath {
		_, err := fmt.Fprintln(out, path)
		return err
	}
	cmd := exec.CommandContext(ctx, path, flags.Args()[1:]...)
	// Asked to end, a tool may still tidy up.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, messages
	return cmd.Run()
}

// find gives the program's path, built if need be.
func find(ctx context.Context, module, program string, messages io.Writer) (string, error) {
	root, err := toolbin.Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "tools", module)
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("%w: tools/%s: %w", errNoTool, module, err)
	}
	bin, err := toolbin.Build(ctx, dir, messages)
	if err != nil {
		return "", err
	}
	path := filepath.Join(bin, program)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: tools/%s has no %s", errNoTool, module, program)
	}
	return path, nil
}
