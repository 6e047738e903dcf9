//go:build !race

package e2e

import "time"

// buildFlags are empty without the race detector.
var buildFlags []string

// stopBound is within which time of a client's wish to stop the engine must be stopped.
const stopBound = 100 * time.Millisecond
