package device_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aitbc/aitbc/services/miner/internal/device"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tool writes a stand-in for nvidia-smi and counts its calls in a file.
func tool(t *testing.T, script string) (path, calls string) {
	t.Helper()
	dir := t.TempDir()
	path, calls = filepath.Join(dir, "nvidia-smi"), filepath.Join(dir, "calls")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\necho >> "+calls+"\n"), 0o700))
	return path, calls
}

// twoCards is made up, in the form of what nvidia-smi answers to its queries: no card was at hand.
const twoCards = `case "$1" in
--query-gpu=name,memory.total) echo "NVIDIA L4, 23034"; echo "NVIDIA GB10, [N/A]" ;;
--query-gpu=temperature.gpu,power.draw,utilization.gpu,memory.used) echo "61, 43.17, 12, 5120"; echo "55, [N/A], 50, [N/A]" ;;
--query-gpu=utilization.gpu) echo "12"; echo "50" ;;
*) exit 1 ;;
esac`

func TestListReadsTheKernelAndTheTool(t *testing.T) {
	proc := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(proc, "cpuinfo"), []byte("processor\t: 0\nmodel name\t: Some CPU @ 2GHz\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(proc, "meminfo"), []byte("MemTotal:       2048 kB\nMemFree: 1 kB\n"), 0o600))
	path, _ := tool(t, twoCards)
	devices, err := device.Probe{Proc: proc, Tool: path}.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []device.Device{
		{Name: "Some CPU @ 2GHz", Kind: device.CPU, MemoryBytes: 2 << 20},
		{Name: "NVIDIA L4", Kind: device.GPU, MemoryBytes: 23034 << 20},
		{Name: "NVIDIA GB10", Kind: device.GPU},
	}, devices)
}

func TestAMachineWithoutTheToolHasNoGPU(t *testing.T) {
	p := device.New()
	p.Tool = filepath.Join(t.TempDir(), "absent")
	devices, err := p.List(t.Context())
	require.NoError(t, err)
	require.Len(t, devices, 1)
	require.Equal(t, device.CPU, devices[0].Kind)
	require.NotEmpty(t, devices[0].Name)

	_, ok := p.Watch(t.Context())()
	require.False(t, ok, "a use that nobody measured is absent, not zero")
}

func TestABrokenToolIsAnErrorBesideTheProcessor(t *testing.T) {
	path, _ := tool(t, "exit 9")
	devices, err := device.Probe{Proc: t.TempDir(), Tool: path}.List(t.Context())
	require.Error(t, err)
	require.Len(t, devices, 1)
}

func TestWatchGivesTheMeanUseOfTheBusiestCard(t *testing.T) {
	path, calls := tool(t, twoCards)
	stop := device.Probe{Tool: path, Interval: time.Millisecond}.Watch(t.Context())
	require.Eventually(t, func() bool {
		info, err := os.Stat(calls)
		return err == nil && info.Size() >= 3
	}, time.Minute, time.Millisecond)
	mean, ok := stop()
	require.True(t, ok)
	require.InDelta(t, 0.5, mean, 1e-9)
}

func TestReadingsLeaveOutWhatACardDoesNotMeasure(t *testing.T) {
	path, _ := tool(t, twoCards)
	readings, err := device.Probe{Tool: path}.Readings(t.Context())
	require.NoError(t, err)
	value := func(v float64) *float64 { return &v }
	used := int64(5120 << 20)
	require.Equal(t, []device.Reading{
		{Celsius: value(61), Watts: value(43.17), Use: value(0.12), MemoryBytes: &used},
		{Celsius: value(55), Use: value(0.5)},
	}, readings)

	absent := device.New()
	absent.Tool = filepath.Join(t.TempDir(), "absent")
	readings, err = absent.Readings(t.Context())
	require.NoError(t, err)
	require.Empty(t, readings)
	broken, _ := tool(t, "exit 9")
	_, err = device.Probe{Tool: broken}.Readings(t.Context())
	require.Error(t, err)
}
