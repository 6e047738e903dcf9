package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	// CPU and GPU are the kinds of devices.
	CPU = "cpu"
	GPU = "gpu"

	toolLimit = 5 * time.Second
	kibibyte  = 1 << 10
	mebibyte  = 1 << 20
)

// Device is something that computes.
type Device struct {
	// Name is the processor's or the card's own name.
	Name string
	// Kind is [CPU] or [GPU].
	Kind string
	// MemoryBytes is its memory; 0 when unknown.
	MemoryBytes int64
}

// Probe looks at the machine.
type Probe struct {
	// Proc is where the kernel shows itself: /proc.
	Proc string
	// Tool is the name or path of nvidia-smi. It need not exist.
	Tool string
	// Interval is how often a GPU's use is sampled.
	Interval time.Duration
}

// New looks at this machine.
func New() Probe { return Probe{Proc: "/proc", Tool: "nvidia-smi", Interval: time.Second} }

// List gives the devices: the processor first. A machine without the NVIDIA tool has no GPU.
func (p Probe) List(ctx context.Context) ([]Device, error) {
	devices := []Device{{Name: p.cpuName(), Kind: CPU, MemoryBytes: p.memory()}}
	rows, err := p.query(ctx, "name,memory.total")
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return devices, nil
	}
	if err != nil {
		return devices, fmt.Errorf("list GPUs: %w", err)
	}
	for _, row := range rows {
		d := Device{Name: row[0], Kind: GPU}
		if len(row) > 1 {
			if mib, err := strconv.ParseInt(row[1], 10, 64); err == nil { // "[N/A]" on unified memory
				d.MemoryBytes = mib * mebibyte
			}
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// query asks the NVIDIA tool for fields of each card.
func (p Probe) query(ctx context.Context, fields string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, p.Tool, "--query-gpu="+fields, "--format=csv,noheader,nounits").Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", p.Tool, err)
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		row := strings.Split(line, ",")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// cpuName reads the processor's name; machines that do not tell get their architecture's.
func (p Probe) cpuName() string {
	if name, ok := p.field("cpuinfo", "model name"); ok && name != "" {
		return name
	}
	return runtime.GOARCH
}

func (p Probe) memory() int64 {
	text, _ := p.field("meminfo", "MemTotal")
	kib, err := strconv.ParseInt(strings.TrimSuffix(text, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib * kibibyte
}

// field reads the first "name : value" line of a file of the kernel's.
func (p Probe) field(file, name string) (string, bool) {
	f, err := os.Open(filepath.Join(p.Proc, file))
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }() // only read
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		key, value, ok := strings.Cut(scanner.Text(), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}
