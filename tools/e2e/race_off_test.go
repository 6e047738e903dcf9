//go:build !race

package e2e

// buildFlags are empty without the race detector.
var buildFlags []string
