// Package postgrestest gives tests a real Postgres. It is apart from the package postgres so that
// the testing package is never linked into a program.
//
// A test package shares one server, and each test has a database of its own:
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Run(m)) }
//
// Without that every top-level test gets a server of its own, which costs about a second.
// Start reading at Start.
package postgrestest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/postgres"
)

// sharing is the server of one test process between Run's begin and end.
type sharing struct {
	mu        sync.Mutex
	active    bool
	server    *postgres.Server // nil until the first test asks
	databases int
}

// shared is process-wide because that is its purpose: testing gives a package no other way to hand
// something from TestMain to its tests.
var shared sharing

// Run runs the tests with one server for all, started when the first test asks for it and stopped
// at the end. It returns the exit code.
func Run(m *testing.M) int {
	shared.begin()
	code := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Start returns the URL of an empty database that only this test uses. The server may be shared.
func Start(t testing.TB) string {
	t.Helper()
	server, name, err := shared.get(t.Context())
	require.NoError(t, err)
	if server == nil {
		server, name = StartOwn(t, postgres.Options{}), "test"
	}
	url, err := server.CreateDatabase(t.Context(), name)
	require.NoError(t, err)
	return url
}

// StartOwn returns a server that only this test uses, so it may be killed.
func StartOwn(t testing.TB, o postgres.Options) *postgres.Server {
	t.Helper()
	server, err := postgres.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
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
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}

// get gives the shared server, nil when none is shared, and a new name for a database.
func (s *sharing) get(ctx context.Context) (*postgres.Server, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	if !s.active || s.server != nil {
		return s.server, name, nil
	}
	var err error
	s.server, err = postgres.Start(ctx, postgres.Options{})
	return s.server, name, err
}
