// Package sqlite keeps the coordinator's store in one SQLite file: the embedded default, for one
// replica.
//
// Invariants: one connection writes, and every commit is flushed to disk before it is answered
// (WAL, synchronous=FULL); readers have connections of their own and see committed state only; the
// state rules of package job are repeated as CHECK constraints in migrations/, so that a fault in
// code fails the transaction and not the books. Start with Open; job.go maps a job to its rows.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	_ "modernc.org/sqlite" // the driver "sqlite"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const (
	// readers is the number of connections for reading. They need no disk in the ordinary case,
	// so more than a few only cost memory.
	readers = 4
	// busyTimeout is how long to wait for another process, such as a backup, that holds the file.
	busyTimeout = 5 * time.Second
	// cacheKiB is each connection's page cache.
	cacheKiB = 8192
	// cachedJobs is how many live jobs are kept in memory for the next change of each; about a kilobyte
	// each.
	cachedJobs = 16384
)

// Store is a store in one file.
type Store struct {
	writeDB *sql.DB
	readDB  *sql.DB
	// reading are the statements of the readers.
	reading *statements
	// membership is set by Join.
	membership store.Membership

	mu sync.Mutex // guards all below: one change at a time
	// conn is the one connection that writes, writing its statements.
	conn    *sql.Conn
	writing *statements
	// committed holds live jobs as they were committed last.
	committed *simplelru.LRU[aitbc.JobID, job.Job]
	// firstExpiry is no later than when the first idempotency key expires, in microseconds; 0: not known.
	firstExpiry int64
}

var _ store.Store = (*Store)(nil)

// Open opens the store at path and brings its tables up to date. The file is made when it is
// missing, readable by its owner only; its folder must exist. It is one replica's: nothing else may
// write to it.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (_ *Store, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite itself would ask for 0644
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	s := &Store{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.writeDB, err = sql.Open("sqlite", dsn(path, "journal_mode(wal)", "synchronous(full)", "foreign_keys(1)")); err != nil {
		return nil, err
	}
	s.writeDB.SetMaxOpenConns(1)
	if s.conn, err = s.writeDB.Conn(ctx); err != nil {
		return nil, err
	}
	s.writing = newStatements(s.conn)
	if s.committed, err = simplelru.NewLRU[aitbc.JobID, job.Job](cachedJobs, nil); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if s.readDB, err = sql.Open("sqlite", dsn(path, "query_only(1)")); err != nil {
		return nil, err
	}
	s.readDB.SetMaxOpenConns(readers)
	s.readDB.SetMaxIdleConns(readers)
	s.reading = newStatements(s.readDB)
	return s, nil
}

func dsn(path string, pragmas ...string) string {
	query := url.Values{"_dqs": {"0"}} // a mistyped column must not pass for text
	query.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()))
	query.Add("_pragma", fmt.Sprintf("cache_size(-%d)", cacheKiB))
	for _, p := range pragmas {
		query.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}).String()
}

// Close ends the store; closing it again does nothing.
func (s *Store) Close() error {
	var faults []error
	if s.readDB != nil {
		faults = append(faults, s.readDB.Close()) // first: the last one to close folds the log into the file
	}
	if s.conn != nil {
		if err := s.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
			faults = append(faults, err)
		}
	}
	if s.writeDB != nil {
		faults = append(faults, s.writeDB.Close())
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Update implements store.Store. ctx is looked at before the transaction and before its commit: a
// statement under way is not interrupted, since none waits for anything but the local disk.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.update(ctx, func(t *tx) error { return fn(t) })
}

func (s *Store) update(ctx context.Context, fn func(*tx) error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// The driver starts a goroutine per statement to watch a context that can end.
	t := &tx{ctx: context.WithoutCancel(ctx), statements: s.writing, store: s, jobs: map[aitbc.JobID]job.Job{}}
	if _, err := t.exec(`BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() {
		if !committed { // also when fn panics; SQLite may have rolled back by itself, so its error says nothing
			_, _ = t.exec(`ROLLBACK`)
			for id := range t.jobs {
				s.committed.Remove(id) // whatever became of the commit
			}
			s.firstExpiry = 0
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if _, err := t.exec(`COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	t.remember()
	return nil
}

// statements prepares each SQL text once.
type statements struct {
	on interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	mu   sync.RWMutex // guards made
	made map[string]*sql.Stmt
}

func newStatements(on interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
},
) *statements {
	return &statements{on: on, made: map[string]*sql.Stmt{}}
}

// get gives the statement of a SQL text, which must be a constant. It is closed with its
// connection.
func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.RLock()
	stmt := s.made[query]
	s.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt := s.made[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	s.made[query] = stmt
	return stmt, nil
}
