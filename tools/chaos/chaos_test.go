package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// programFor builds aitbcd with its crash points and faults.
func programFor(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "aitbcd")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "chaos", "-o", program, "./services/aitbcd")
	build.Dir = "../.."
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}

// The short form of `make chaos`: some crash points of each process, one random walk, replicas that are
// lost, and every planted fault, to see that the checker has eyes. The long runs are in docs/chaos.md.
func TestShortForm(t *testing.T) {
	t.Parallel()
	o := options{program: programFor(t), seed: 4}
	t.Run("crash points", func(t *testing.T) {
		t.Parallel()
		r, err := o.perform(t.Context(), "points", "", settlePatience, crashAtPoints([]string{
			"coordinator/submit/after", "coordinator/lease/after", "coordinator/result/after", "coordinator/settle/before",
			"miner/write/synced", "miner/result/after", "ledger/commit/between", "ledger/commit/after",
		}))
		require.NoError(t, err)
		require.Empty(t, r.report.Findings)
		require.Empty(t, r.unpassed)
	})
	t.Run("anything", func(t *testing.T) {
		t.Parallel()
		r, err := o.perform(t.Context(), "random", "", settlePatience, anything(100, 20, 0))
		require.NoError(t, err)
		require.Empty(t, r.report.Findings)
		require.Equal(t, 100, r.jobs)
	})
	t.Run("two replicas", func(t *testing.T) {
		t.Parallel()
		o := o
		o.replicas = true
		r, err := o.perform(t.Context(), "replicas", "", settlePatience, eachLost(60, 4))
		require.NoError(t, err)
		require.Empty(t, r.report.Findings)
		require.Equal(t, 60+2*probes, r.jobs)
		require.Positive(t, r.moved)
	})
	t.Run("planted faults", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, o.bugs(t.Context(), 25))
	})
}
