// Package postgres keeps the coordinator's store in a Postgres database, which several replicas may
// share.
//
//	Update: fn runs on memory ---> one batch: begin, confirm, write ---> commit, flushed ---> answer
//	          ^  (cached jobs, or read)        |
//	          |                                | a row was not what fn was told
//	          +--- forget what was wrong <-----+
//
// A transaction costs two round trips and a few set-based statements, however many changes it
// carries: fn is answered from memory, its writes are gathered, and the batch that carries them out
// names for each row what fn was told of it (a job's version; that a row is not there yet). When one
// is not confirmed nothing is written and fn runs again. So nothing is locked while fn runs, and no
// write of another replica is ever overwritten. A row that breaks a constraint makes fn run once
// more, now carefully: each read locks and each write is carried out at once, so that the error
// reaches the change that caused it and not its neighbours.
//
// Invariants: a commit is flushed to disk before it is answered, and when the connection is lost in
// between, the database is asked what became of it; readers see committed state only; the rules of
// package job are repeated as constraints in migrations/. Start with Open, then update.go, tx.go
// (what fn sees) and flush.go (the batch); job.go maps a job to its rows.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jackc/pgx/v5/pgxpool"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const (
	// writers is the number of connections for changes: one for Update, one for keys beside it.
	writers = 2
	// readers is the number of connections for reading, unless the URL has pool_max_conns.
	readers = 8
	// connectTimeout bounds the making of one connection, unless the URL has connect_timeout.
	connectTimeout = 10 * time.Second
	// cachedJobs is how many live jobs are kept in memory for the next change of each; about a
	// kilobyte each.
	cachedJobs = 16384
	// countShards is how many rows each count is spread over: two of ten replicas seldom share one,
	// and reading all is nothing.
	countShards = 64
)

// Store is a store in a Postgres database.
type Store struct {
	writing *pgxpool.Pool
	reading *pgxpool.Pool
	// shard is where this store's changes are counted.
	shard int
	// self is this replica's id from Join on; 0: it has not joined, and nothing fences it.
	self     atomic.Int64
	lifetime time.Duration

	mu sync.Mutex // guards all below: one Update at a time
	// cache holds live jobs as they were committed last, as far as this store knows.
	cache *simplelru.LRU[aitbc.JobID, version]
}

// version is a job as it was after one of its writes.
type version struct {
	job    job.Job
	number int64
}

var _ store.Store = (*Store)(nil)

// Open connects to the database at url, such as postgres://user:password@host/database, and brings
// its tables up to date. Other replicas may have it open and may open it at the same time. The
// settings of the connection string that pgx knows all count; without synchronous_commit it is on.
func Open(ctx context.Context, url string) (*Store, error) {
	s, err := open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the store in Postgres: %w", opaque(err))
	}
	return s, nil
}

func open(ctx context.Context, url string) (_ *Store, err error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	s := &Store{shard: rand.IntN(countShards)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.cache, err = simplelru.NewLRU[aitbc.JobID, version](cachedJobs, nil); err != nil {
		return nil, err
	}
	writing := config.Copy()
	writing.MaxConns, writing.MinConns, writing.MinIdleConns = writers, 0, 0
	writing.AfterConnect = registerRows
	if s.writing, err = pgxpool.NewWithConfig(ctx, writing); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	s.writing.Reset() // connections that are older than the tables know no rows
	if s.reading, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	return s, nil
}

// parse reads a URL and fills in what every connection of ours needs.
func parse(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err // it names what is wrong, without the password
	}
	if config.ConnConfig.Config.ConnectTimeout == 0 {
		config.ConnConfig.Config.ConnectTimeout = connectTimeout
	}
	if !hasPoolSize(url) {
		config.MaxConns = readers
	}
	params := config.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name":   "aitbcd",
		"synchronous_commit": "on",
		// Every query here has an index. The planner must not be talked out of it by the statistics
		// of a table that was empty a minute ago, nor plan anew what never changes.
		"plan_cache_mode": "force_generic_plan",
		"enable_seqscan":  "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_bitmapscan": "off",
		"jit": "off",
		// A replica that stops in the middle of a transaction must not keep its locks for long.
		"idle_in_transaction_session_timeout": "5s",
	} {
		if _, set := params[name]; !set {
			params[name] = value
		}
	}
	if params["synchronous_commit"] == "off" {
		return nil, errors.New("synchronous_commit=off would lose jobs that were acknowledged")
	}
	return config, nil
}

// Close ends the store; closing it again does nothing.
func (s *Store) Close() error {
	for _, pool := range []*pgxpool.Pool{s.reading, s.writing} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}

// Migrate brings the tables of the database at url up to date and gives the version they have then.
func Migrate(ctx context.Context, url string) (int, error) {
	s, err := Open(ctx, url)
	if err != nil {
		return 0, err
	}
	return len(scripts()), s.Close()
}
