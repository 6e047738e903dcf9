//go:build race

package e2e

import "time"

// buildFlags build the programs under test as the tests themselves are built: a data race in a
// server then shows in its log and in how it ends.
var buildFlags = []string{"-race"}

// stopBound is generous: programs with the race detector are many times slower.
const stopBound = 5 * time.Second
