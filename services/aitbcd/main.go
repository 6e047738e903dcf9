// Command aitbcd is the server: a coordinator, a miner, a ledger node, or a whole network in one
// process (`aitbcd dev`). Every setting is a flag, an environment variable and a config-file key
// of the same name. Start with newRoot.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "unversioned"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "aitbcd:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "aitbcd",
		Short:         "The servers of an AITBC network",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.AddCommand(newDev(), newCoordinator(), newMiner(), newLedger())
	return root
}
