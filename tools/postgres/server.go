package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// port only names the socket: nothing listens on the network.
	port = "5432"
	// superuser is the one role of a cluster; whoever may open the socket may be it.
	superuser = "postgres"
	// stopGrace is how long a server may take for its last checkpoint.
	stopGrace = 30 * time.Second
	// pollEvery is how often a starting server is asked whether it is up.
	pollEvery = 10 * time.Millisecond
	// leftoverTries and leftoverPause bound the wait for the processes of a killed server.
	leftoverTries = 50
	leftoverPause = 100 * time.Millisecond
)

// Server is a running server with a cluster of its own.
type Server struct {
	bin     string
	folder  string
	owner   *owner
	options Options

	mu      sync.Mutex // guards all below
	process *process   // nil when it was stopped
}

// Start makes a cluster and runs a server on it. ctx bounds the start alone: the server lives until
// Stop. Errors: ErrNoBinaries among others.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("postgres options: %w", err)
	}
	bin, err := Ensure(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, options: o}
	if s.owner, err = findOwner(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "aitbc-postgres-"); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.folder))
		}
	}()
	if err := s.owner.give(s.folder); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := s.initdb(ctx); err != nil {
		return nil, err
	}
	if err := s.Restart(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func dataFolder(folder string) string { return filepath.Join(folder, "data") }

// logFile is where the server writes its log.
func (s *Server) logFile() string { return filepath.Join(s.folder, "server.log") }

// initdb makes the cluster. It is not flushed: nothing is lost when the machine fails here.
func (s *Server) initdb(ctx context.Context) error {
	command := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "--pgdata", dataFolder(s.folder),
		"--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	command.Dir = s.folder // the caller's may be closed to the owner
	command.SysProcAttr = s.owner.attributes()
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, tail(output, 1000))
	}
	return nil
}

// errEnded says that a server ended while it was waited for.
var errEnded = errors.New("the server ended")

// Restart runs the server again after Stop or Kill, on the same cluster. Call it only then.
func (s *Server) Restart(ctx context.Context) error {
	for tries := 0; ; tries++ {
		err := s.run(ctx)
		if err == nil {
			return nil
		}
		// The processes that a killed server has left end by themselves; until then none may start.
		if !errors.Is(err, errEnded) || tries == leftoverTries {
			text, readErr := os.ReadFile(s.logFile())
			return errors.Join(fmt.Errorf("start postgres: %w; its log ends: %s", err, tail(text, 1000)), readErr)
		}
		select {
		case <-time.After(leftoverPause):
		case <-ctx.Done():
			return fmt.Errorf("start postgres: %w", context.Cause(ctx))
		}
	}
}

func (s *Server) run(ctx context.Context) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	command := exec.Command(filepath.Join(s.bin, "postgres"), s.options.arguments(s.folder)...) // outlives ctx
	command.Dir, command.Stdout, command.Stderr = s.folder, log, log
	command.SysProcAttr = s.owner.attributes()
	p, err := startProcess(command)
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	if err := s.await(ctx, p); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// await waits until the server takes connections.
func (s *Server) await(ctx context.Context, p *process) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL(superuser))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", context.Cause(ctx))
		}
	}
}

// URL is where a database of the server is, for pgx and psql.
func (s *Server) URL(database string) string {
	query := url.Values{"host": {s.folder}, "port": {port}, "user": {superuser}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: query.Encode()}).String()
}

// PID is the id of the server's first process, whose children serve; 0 while it is stopped.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.command.Process.Pid
}

// CreateDatabase makes an empty database and gives its URL.
func (s *Server) CreateDatabase(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, s.URL(superuser))
	if err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return s.URL(name), nil
}

// Kill ends the server at once, as a crash would: nothing is flushed, and no connection is served any
// more when it returns. The cluster stays, for Restart.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	defer func() { s.process = nil }()
	serving := s.process.children() // they outlive their parent until they look
	return errors.Join(s.process.end(syscall.SIGKILL), endAll(serving))
}

// Stop ends the server in order and removes its folder. A second Stop does nothing.
func (s *Server) Stop() error {
	if err := errors.Join(s.signal(syscall.SIGINT), os.RemoveAll(s.folder)); err != nil { // SIGINT: without waiting for clients
		return fmt.Errorf("stop postgres: %w", err)
	}
	return nil
}

func (s *Server) signal(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	defer func() { s.process = nil }()
	return s.process.end(signal)
}
