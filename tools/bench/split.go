package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// split is where a ledger node's processor time went. Signatures and execution (the mempool's checks,
// blocks with their hashing, commits) are what the application counts on its threads; consensus is the
// rest of the process: votes, blocks, mempool, JSON-RPC, and the runtime's collector.
type split struct{ signatures, execution, consensus time.Duration }

// splitIn reads the application's parts out of a node's page of metrics; used is what the process used.
func splitIn(page string, used time.Duration) (split, error) {
	parts := map[string]time.Duration{}
	for _, part := range []string{"signatures", "check", "execute", "commit"} {
		seconds, err := secondsIn(page, fmt.Sprintf("aitbc_ledger_cpu_seconds_total{part=%q}", part))
		if err != nil {
			return split{}, err
		}
		parts[part] = seconds
	}
	application := parts["check"] + parts["execute"] + parts["commit"]
	return split{signatures: parts["signatures"], execution: application - parts["signatures"], consensus: used - application}, nil
}

func secondsIn(page, name string) (time.Duration, error) {
	for line := range strings.Lines(page) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return time.Duration(seconds * float64(time.Second)), err
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// since gives what one of so many units took from before on.
func (s split) since(before split, units int) split {
	n := time.Duration(units)
	return split{
		signatures: (s.signatures - before.signatures) / n,
		execution:  (s.execution - before.execution) / n,
		consensus:  (s.consensus - before.consensus) / n,
	}
}
