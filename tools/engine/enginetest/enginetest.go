// Package enginetest gives tests a real Ollama server with the project's tiny
// model. It is apart from the package engine so that the testing package is
// never linked into a program.
//
// A test package that asks for an engine in many tests shares one:
//
//	func TestMain(m *testing.M) { os.Exit(enginetest.Run(m)) }
//
// Without that every top-level test gets a server of its own, which costs
// about a second. The first use on a machine without Ollama builds it, which
// takes longer than go test's usual limit: run `make engine` first.
// Start reading at Start.
package enginetest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine"
)

// sharing is the engine of one test process between Run's begin and end.
type sharing struct {
	mu     sync.Mutex
	active bool
	engine *engine.Engine // nil until the first test asks
}

// shared is process-wide because that is its purpose: testing gives a package
// no other way to hand something from TestMain to its tests.
var shared sharing

// Run runs the tests with one engine for all, started when the first test asks
// for it and stopped at the end. It returns the exit code.
func Run(m *testing.M) int {
	shared.begin()
	code := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Start returns an engine that serves the shipped model and that the caller
// must not stop: another test may be using it.
func Start(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := shared.get(t.Context())
	require.NoError(t, err)
	if e != nil {
		return e
	}
	return start(t, engine.Options{})
}

// StartOwn returns an engine that only this test uses, never one that runs
// already, so it may be killed.
func StartOwn(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	o.Own = true
	return start(t, o)
}

func start(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	o.Progress = os.Stderr
	e, err := engine.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Stop()) })
	return e
}

func (s *sharing) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = true
}

func (s *sharing) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = false
	if s.engine == nil {
		return nil
	}
	return s.engine.Stop()
}

// get returns nil when no engine is shared.
func (s *sharing) get(ctx context.Context) (*engine.Engine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active || s.engine != nil {
		return s.engine, nil
	}
	var err error
	s.engine, err = engine.Start(ctx, engine.Options{Progress: os.Stderr})
	return s.engine, err
}
