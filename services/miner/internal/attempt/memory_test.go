package attempt_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

func TestWhatDoesNotFitBesideTheReserveIsWithheld(t *testing.T) {
	t.Parallel()
	const gib = int64(1 << 30)
	models := []executor.Model{{Name: "small", SizeBytes: gib}, {Name: "big", SizeBytes: 5 * gib}, {Name: "grown", SizeBytes: gib, MemoryBytes: 6 * gib}}
	cpu := device.Device{Kind: device.CPU, MemoryBytes: 8 * gib}
	card := device.Device{Kind: device.GPU, MemoryBytes: 4 * gib}
	silent := device.Device{Kind: device.GPU}
	for name, c := range map[string]struct {
		devices []device.Device
		reserve int64
		offered []string
		why     string
	}{
		"no reserve":            {[]device.Device{{Kind: device.CPU}}, 0, []string{"small", "big", "grown"}, ""},
		"all fit":               {[]device.Device{cpu}, 2 * gib, []string{"small", "big", "grown"}, ""},
		"one byte too few":      {[]device.Device{cpu}, 2*gib + 1, []string{"small", "big"}, "needs 6144.0 MiB, and beside the reserve of 2048.0 MiB the system's memory has"},
		"the card's counts":     {[]device.Device{cpu, card}, gib, []string{"small"}, "the GPUs' memory has 3072.0 MiB"},
		"two cards' together":   {[]device.Device{cpu, card, card}, gib, []string{"small", "big", "grown"}, ""},
		"a card that is silent": {[]device.Device{cpu, card, silent}, 2 * gib, []string{"small", "big", "grown"}, ""},
		"more than there is":    {[]device.Device{cpu}, 9 * gib, nil, "has 0.0 MiB"},
		"an unknown machine":    {[]device.Device{{Kind: device.CPU}}, 1, nil, "unknown"},
	} {
		offered, withheld := attempt.Withhold(models, c.devices, c.reserve)
		var names []string
		for _, m := range offered {
			names = append(names, m.Name)
		}
		require.Equal(t, c.offered, names, name)
		require.Len(t, withheld, len(models)-len(offered), name)
		if len(withheld) > 0 {
			require.Contains(t, withheld[len(withheld)-1].Why, c.why, name)
		}
	}
}

func TestAWithheldModelIsNeitherOfferedNorRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, attempt.Config{MemoryReserve: 1}, nil) // the bench's machine does not tell its memory
	b.run(t)
	require.Eventually(t, func() bool { return len(b.Status().Withheld) == 1 }, time.Minute, time.Millisecond)
	require.Empty(t, b.Report().State.GetModels())
	require.Equal(t, modelName, b.Status().Withheld[0].Name)
	b.Offer(b.op(), b.lease(t))
	require.Equal(t, "MODEL_NOT_FOUND", b.refused(t).GetReason())
}

// run runs the bench until the test's end.
func (b *bench) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// loading is an engine whose model takes as much memory as it says.
type loading struct {
	engine
	memory atomic.Int64
	looks  atomic.Int64
}

func (l *loading) Models(context.Context) ([]executor.Model, error) {
	l.looks.Add(1)
	return []executor.Model{{Name: modelName, Digest: digest, SizeBytes: 1, MemoryBytes: l.memory.Load()}}, nil
}

func TestAModelThatWasTooBigStaysWithheldWhenItIsUnloaded(t *testing.T) {
	t.Parallel()
	on := &loading{}
	b := newBenchOn(t, attempt.Config{MemoryReserve: 1 << 20}, on)
	require.NoError(t, os.WriteFile(filepath.Join(b.proc, "meminfo"), []byte("MemTotal:       2048 kB\n"), 0o600))
	b.run(t)
	require.Eventually(t, func() bool { return len(b.Report().State.GetModels()) == 1 }, time.Minute, time.Millisecond)
	on.memory.Store(1<<20 + 1)
	b.Refresh()
	require.Eventually(t, func() bool { return len(b.Report().State.GetModels()) == 0 }, time.Minute, time.Millisecond)
	on.memory.Store(0)
	before := on.looks.Load()
	for on.looks.Load() < before+2 { // the second begins when the first has counted
		b.Refresh()
		runtime.Gosched()
	}
	require.Empty(t, b.Report().State.GetModels())
	require.Len(t, b.Status().Withheld, 1)
}
