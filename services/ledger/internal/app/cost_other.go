//go:build !linux

package app

import "time"

// threadTime is nothing where the time of one thread is not to be had: the counters stay at zero.
func threadTime() time.Duration { return 0 }
