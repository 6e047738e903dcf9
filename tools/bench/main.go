// Command bench measures a network on this machine: `go run ./tools/bench -part path`. Every
// figure is taken beside a peer in the same run, interleaved, because the machine is shared and
// absolute numbers mean little. Start with pathPart.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are what every part gets.
type options struct {
	bin  string
	runs int
	jobs int
	// done is how many jobs are done before the second measurement of the part growth.
	done int
	// store is where jobs are kept; empty: in SQLite.
	store string
	// slots is how many jobs are worked at once.
	slots int

	// Of the part ledger alone: numbers of validators and of keys in the state, with commas between, turns
	// of each load, and the program that is the peer.
	validators, keys string
	turns            int
	kvpeer           string
}

func main() {
	var o options
	part := flag.String("part", "path", "what to measure: path, stream, surfaces, fair, growth, latency, ledger, miners, overload, queue")
	flag.StringVar(&o.bin, "bin", "bin", "folder with aitbcd")
	flag.IntVar(&o.runs, "runs", 200, "measured jobs")
	flag.IntVar(&o.jobs, "jobs", 0, "fair: jobs that one client queues (3,000); growth: the deepest queue (100,000); miners: how many (10,000); queue: through each queue (20,000)")
	flag.IntVar(&o.slots, "slots", 64, "queue: jobs worked at once")
	flag.IntVar(&o.done, "done", 0, "growth: instead of deeper queues, the smallest one after so many jobs are done")
	flag.StringVar(&o.store, "store", "", "growth: where jobs are kept, as aitbcd's --store")
	flag.StringVar(&o.validators, "validators", "1,4", "ledger: numbers of validators")
	flag.StringVar(&o.keys, "keys", "1000,100000,1000000", "ledger: sizes of the state, of these three")
	flag.IntVar(&o.turns, "turns", 2, "ledger: turns that each load gets")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *part, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, part string, o options) error {
	parts := map[string]func(context.Context, options) ([]figure, error){
		"path": pathPart, "stream": streamPart, surfacesName: surfacesPart,
		"fair": fairPart, ledgerName: ledgerPart, "growth": growthPart, "latency": latencyPart, "overload": overloadPart, "miners": minersPart, "queue": queuePart,
	}
	if parts[part] == nil {
		return fmt.Errorf("unknown part %q: there are %s", part, strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
	}
	figures, err := parts[part](ctx, o)
	if err != nil {
		return fmt.Errorf("part %s: %w", part, err)
	}
	return report(os.Stdout, figures)
}
