package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const (
	// hopefulRuns is how often fn runs on what the store believes before it runs carefully.
	hopefulRuns = 3
	// lostRuns is how often an Update begins again because a connection failed before its commit.
	// The pool may hold as many that a restart of the server has broken.
	lostRuns = writers
	// maxRuns bounds all runs of one Update.
	maxRuns = 20
	// outcomePatience is how long the database is asked what became of a commit whose answer was
	// lost, and outcomePause the pause between.
	outcomePatience = 10 * time.Second
	outcomePause    = 50 * time.Millisecond
	// rollbackPatience bounds an orderly rollback; the connection is dropped otherwise.
	rollbackPatience = 2 * time.Second
)

var (
	// errStale says that fn was told something that is not so: it must run again.
	errStale = errors.New("another replica changed the same rows")
	// errHoped says that fn failed on answers that were not confirmed: it must run carefully.
	errHoped = errors.New("the answers were not confirmed")
)

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	doubts := doubts{}
	careful, lost := false, 0
	for runs := 1; ; runs++ {
		err := s.run(ctx, fn, doubts, careful)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errStale), isCollision(err):
			careful = careful || runs >= hopefulRuns
		case errors.Is(err, errHoped), isViolation(err) && !careful:
			careful = true
		case (isLost(err) || errors.Is(err, errNotCommitted)) && lost < lostRuns:
			lost++
		default:
			return opaque(err)
		}
		if runs == maxRuns || ctx.Err() != nil {
			return fmt.Errorf("give up after %d runs: %w", runs, opaque(errors.Join(err, ctx.Err())))
		}
	}
}

// run runs fn once and commits what it wrote.
func (s *Store) run(ctx context.Context, fn func(store.Tx) error, doubts doubts, careful bool) error {
	t := newTx(ctx, s, doubts, careful)
	defer t.end() // also when fn panics
	if err := fn(t); err != nil {
		switch {
		case t.stale:
			return errStale
		case t.hoped: // fn may have failed over an answer that is wrong
			return errHoped
		}
		return err
	}
	return t.commit()
}

// commit carries out what is left and commits.
func (t *tx) commit() error {
	if err := t.flush(); err != nil {
		return err
	}
	if t.open {
		if err := t.commitOpen(); err != nil {
			return err
		}
	}
	t.remember()
	return nil
}

func (t *tx) commitOpen() error {
	tag, err := t.conn.Exec(t.ctx, `commit`, pgx.QueryExecModeSimpleProtocol)
	t.open = false
	if err == nil && tag.String() != "COMMIT" {
		return fmt.Errorf("commit: the server answered %s", tag)
	}
	if err == nil {
		return nil
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && !isLost(err) {
		return fmt.Errorf("commit: %w", err)
	}
	if became := t.store.outcome(t.ctx, t.xid); became != nil {
		t.forget()
		// The driver's error is not wrapped: a lost connection is safe to repeat, this may not be.
		return fmt.Errorf("commit: %s: %w", err.Error(), became)
	}
	return nil
}

// What became of a commit whose answer was lost. The first is safe to repeat.
var (
	errNotCommitted = errors.New("the transaction was rolled back")
	errUnknown      = errors.New("it is not known whether the transaction was committed")
)

// outcome asks what became of a transaction whose commit was not answered; nil: it is committed.
// Errors: errNotCommitted, errUnknown.
func (s *Store) outcome(ctx context.Context, xid string) error {
	// The caller's time may be what ran out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomePatience)
	defer cancel()
	for {
		var status *string // NULL: so old that nobody remembers
		err := s.writing.QueryRow(ctx, `SELECT pg_xact_status($1::text::xid8)`, xid).Scan(&status)
		switch {
		case err == nil && status != nil && *status == "committed":
			return nil
		case err == nil && status != nil && *status == "aborted":
			return errNotCommitted
		}
		select { // the database is away, or has not noticed yet that the connection is lost
		case <-time.After(outcomePause):
		case <-ctx.Done():
			return errUnknown
		}
	}
}

// end rolls back what was not committed and gives the connection back.
func (t *tx) end() {
	if t.conn == nil {
		return
	}
	if t.open {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackPatience)
		defer cancel()
		_, _ = t.conn.Exec(ctx, `rollback`, pgx.QueryExecModeSimpleProtocol) // a connection on which that failed is dropped with its transaction
	}
	t.conn.Release()
	t.conn = nil
}

// connect makes sure that the transaction has its connection.
func (t *tx) connect() (err error) {
	if t.conn == nil {
		if t.conn, err = t.store.writing.Acquire(t.ctx); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	return nil
}

// begin opens the transaction in the database.
func (t *tx) begin() error {
	if err := t.connect(); err != nil || t.open {
		return err
	}
	var batch pgx.Batch
	t.queueBegin(&batch)
	return t.send(&batch)
}

// queueBegin has a batch open the transaction and learn its number, which tells what became of it
// if the answer to its commit is lost.
func (t *tx) queueBegin(batch *pgx.Batch) {
	batch.Queue(`begin`).Exec(func(pgconn.CommandTag) error {
		t.open = true
		return nil
	})
	batch.Queue(`SELECT pg_current_xact_id()::text`).QueryRow(func(row pgx.Row) error { return row.Scan(&t.xid) })
	if self := t.store.self.Load(); self != 0 {
		batch.Queue(lockReplica, self).QueryRow(func(row pgx.Row) error {
			err := row.Scan(nil)
			t.fenced = errors.Is(err, pgx.ErrNoRows)
			return err
		})
	}
}

func (t *tx) send(batch *pgx.Batch) error {
	err := t.conn.SendBatch(t.ctx, batch).Close()
	if t.fenced { // whatever the statements behind it found
		return store.ErrFenced
	}
	return err
}
