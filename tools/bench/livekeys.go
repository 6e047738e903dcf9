package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// liveKeys executes blocks of 1,000 jobs on states of so many keys, without consensus, each in a process
// of its own: `go test` runs the application's benchmark, which names what it reports.
func liveKeys(ctx context.Context, keys string) ([]figure, error) {
	var figures []figure
	for size := range strings.SplitSeq(keys, ",") {
		if _, err := strconv.Atoi(size); err != nil {
			return nil, fmt.Errorf("-keys: want numbers with commas between, not %q", keys)
		}
		run := exec.CommandContext(ctx, "go", "test", "./services/ledger/internal/app", "-run", "^$",
			"-bench", "^BenchmarkThousandJobs$/^keys="+size+"$", "-benchtime", "20x")
		run.Stderr = os.Stderr
		output, err := run.Output()
		if err != nil {
			return nil, fmt.Errorf("%s keys: %w: %s", size, err, output)
		}
		reported, err := parseBenchmark(string(output))
		if err != nil {
			return nil, fmt.Errorf("%s keys: %w", size, err)
		}
		for _, name := range slices.Sorted(maps.Keys(reported.values)) {
			what, unit := name[:strings.LastIndexByte(name, '-')], name[strings.LastIndexByte(name, '-')+1:]
			value := reported.values[name]
			figures = append(figures, figure{
				Part: ledgerName, Name: size + " keys, block of 1,000: " + what, Unit: unit, Ours: value, Runs: reported.runs, Min: value, Max: value,
			})
		}
	}
	return figures, nil
}

// benchmark is one line of `go test -bench`; values are by what was reported, a name and its unit behind a dash.
type benchmark struct {
	runs   int
	values map[string]float64
}

// parseBenchmark reads the one benchmark of an output.
func parseBenchmark(output string) (benchmark, error) {
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		b := benchmark{values: map[string]float64{}}
		var err error
		if b.runs, err = strconv.Atoi(fields[1]); err != nil {
			return benchmark{}, fmt.Errorf("a benchmark's line: %w", err)
		}
		for pair := range slices.Chunk(fields[2:], 2) {
			value, err := strconv.ParseFloat(pair[0], 64)
			if err != nil || len(pair) < 2 {
				return benchmark{}, fmt.Errorf("a benchmark's line does not pair values with units: %q", line)
			}
			if strings.Contains(pair[1], "-") {
				b.values[pair[1]] = value
			}
		}
		return b, nil
	}
	return benchmark{}, errors.New("no benchmark was run")
}
