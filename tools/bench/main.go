// Command bench measures a network on this machine: `go run ./tools/bench -part path`. Every
// figure is taken beside a peer in the same run, interleaved, because the machine is shared and
// absolute numbers mean little. Start with pathPart.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// options are what every part gets.
type options struct {
	bin  string
	runs int
}

func main() {
	var o options
	part := flag.String("part", "path", "what to measure: path, stream, surfaces")
	flag.StringVar(&o.bin, "bin", "bin", "folder with aitbcd")
	flag.IntVar(&o.runs, "runs", 200, "measured jobs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *part, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, part string, o options) error {
	parts := map[string]func(context.Context, options) ([]figure, error){"path": pathPart, "stream": streamPart, surfacesName: surfacesPart}
	if parts[part] == nil {
		return fmt.Errorf("unknown part %q: there are path, stream and surfaces", part)
	}
	figures, err := parts[part](ctx, o)
	if err != nil {
		return fmt.Errorf("part %s: %w", part, err)
	}
	return report(os.Stdout, figures)
}
