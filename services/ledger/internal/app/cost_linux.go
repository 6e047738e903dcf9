package app

import (
	"syscall"
	"time"
)

// rusageThread is Linux's RUSAGE_THREAD (getrusage(2)), which syscall has no name for.
const rusageThread = 1

// threadTime is the processor time that the calling thread has used.
func threadTime() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(rusageThread, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
