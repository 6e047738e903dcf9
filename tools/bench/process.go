package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc, which Linux fixes for programs at 100 a second.
const clockTick = time.Second / 100

// cpuTime gives the CPU time so far of processes and all that they have started and that still runs:
// their own and the kernel's for them.
func cpuTime(pids ...int) (total time.Duration, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		used, err := cpuOf(string(text))
		if err != nil {
			return 0, err
		}
		total += used
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return 0, err
		}
		for _, field := range strings.Fields(string(children)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			if used, err := cpuTime(child); err == nil { // else it has just ended
				total += used
			}
		}
	}
	return total, nil
}

// cpuOf reads user and system time out of a process's stat line (proc(5)). The name in brackets may
// hold anything, so the fields are counted from behind it: the state is the third.
func cpuOf(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("a process's stat line has %d fields behind its name", len(fields))
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("a process's stat line: %w", err)
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum, nil
}

// memory gives the resident memory of a process in bytes: now, and at most so far.
func memory(pid int) (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &now, "VmHWM": &peak}[name]
		if to == nil {
			continue
		}
		if _, err := fmt.Sscanf(value, "%d kB", to); err != nil {
			return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		*to <<= 10
	}
	return now, peak, nil
}
