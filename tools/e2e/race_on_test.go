//go:build race

package e2e

// buildFlags build the programs under test as the tests themselves are built: a data race in a
// server then shows in its log and in how it ends.
var buildFlags = []string{"-race"}
