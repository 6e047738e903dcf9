// Package e2e holds the whole-system tests: real processes, a real ledger, a real Ollama, driven
// only through public APIs, with kills. Each test's name is the promise it holds us to. The
// network comes from tools/devnet/network, the engine from tools/engine; faults that a real
// engine cannot be made to show come from a proxy in front of it (fault_test.go). Start with
// path_test.go.
package e2e
