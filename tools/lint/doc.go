// Package lint holds the tests that keep the architecture: who may import whom, every package
// documented, files and functions small, the SDK light, no sleeps or skips in tests. They are
// tests so that a breach is a red line in `make check` and not a debate in review. Allow-lists
// only shrink. Start with imports_test.go.
package lint
