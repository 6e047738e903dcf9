package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store that only knows results: a transaction's are added when it commits. Each
// transaction waits for a token in begin, so that a test says what gathers behind it.
type memory struct {
	begin     chan struct{}
	commitErr error
	committed []string
	batches   [][]string
}

type memoryTx struct {
	store.Tx // a call of any other method fails the test
	results  []string
}

var errDisk = errors.New("the disk is full")

func (tx *memoryTx) PutResult(_ aitbc.JobID, result string) error {
	if result == "unwritable" {
		return errDisk
	}
	if slices.Contains(tx.results, result) {
		return job.ErrExists
	}
	tx.results = append(tx.results, result)
	return nil
}

func (m *memory) Update(ctx context.Context, fn func(store.Tx) error) error {
	select {
	case <-m.begin:
	case <-ctx.Done():
		return ctx.Err()
	}
	tx := &memoryTx{}
	if err := fn(tx); err != nil {
		return err
	}
	m.batches = append(m.batches, tx.results)
	if m.commitErr != nil {
		return m.commitErr
	}
	m.committed = append(m.committed, tx.results...)
	return nil
}

func put(result string) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.PutResult(aitbc.JobID{}, result) }
}

// rig runs a committer over memory in a synctest bubble.
type rig struct {
	*memory
	*store.Committer
	stop context.CancelFunc
	// flushes are what the hook was told.
	flushes []store.Flush
	mu      sync.Mutex // guards answers while they come in
	answers map[string]error
	ended   chan struct{} // closed when Run has returned
	once    sync.Once
}

func newRig(t *testing.T, change func(*store.CommitterConfig)) *rig {
	t.Helper()
	r := &rig{memory: &memory{begin: make(chan struct{})}, answers: map[string]error{}, ended: make(chan struct{})}
	config := store.DefaultCommitterConfig()
	config.Flushed = func(f store.Flush) { r.flushes = append(r.flushes, f) }
	if change != nil {
		change(&config)
	}
	var err error
	r.Committer, err = store.NewCommitter(r.memory, config)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() {
		defer close(r.ended)
		r.answer("run", r.Run(ctx))
	}()
	synctest.Wait()
	return r
}

func (r *rig) answer(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[name] = err
}

// submit has a change commit in the background; its answer lands in answers.
func (r *rig) submit(ctx context.Context, name string, fn func(store.Tx) error) {
	go func() {
		r.answer(name, r.Commit(ctx, fn))
	}()
	synctest.Wait()
}

// flush lets n transactions begin, one after the other.
func (r *rig) flush(n int) {
	for range n {
		r.begin <- struct{}{}
		synctest.Wait()
	}
}

// end stops the committer and lets all that it still has to commit through.
func (r *rig) end(t *testing.T) {
	t.Helper()
	r.stop()
	synctest.Wait()
	r.once.Do(func() { close(r.begin) })
	<-r.ended
	synctest.Wait()
	require.NoError(t, r.answers["run"])
}

// situation is a story about a committer.
type situation struct {
	name string
	run  func(t *testing.T, r *rig)
}

func runSituations(t *testing.T, situations []situation) {
	t.Helper()
	for _, c := range situations {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				c.run(t, r)
				r.end(t)
			})
		})
	}
}

func TestCommitterGathers(t *testing.T) {
	t.Parallel()
	runSituations(t, []situation{
		{"a lone change commits at once", func(t *testing.T, r *rig) {
			began := time.Now()
			r.submit(t.Context(), "a", put("a"))
			r.flush(1)
			require.NoError(t, r.answers["a"])
			require.Equal(t, []string{"a"}, r.committed)
			require.Equal(t, []store.Flush{{Changes: 1}}, r.flushes)
			require.Zero(t, time.Since(began), "no wait is added")
		}},
		{"what waits during a flush goes together into the next", func(t *testing.T, r *rig) {
			for _, name := range []string{"a", "b", "c", "d"} {
				r.submit(t.Context(), name, put(name))
			}
			require.Equal(t, 3, r.Waiting())
			r.flush(2)
			require.Equal(t, [][]string{{"a"}, {"b", "c", "d"}}, r.batches)
			require.Equal(t, map[string]error{"a": nil, "b": nil, "c": nil, "d": nil}, r.answers)
		}},
		{"stopping commits what waits and takes no more", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "a", put("a"))
			r.submit(t.Context(), "b", put("b"))
			r.end(t)
			require.Equal(t, []string{"a", "b"}, r.committed)
			require.ErrorIs(t, r.Commit(t.Context(), put("late")), store.ErrStopped)
		}},
	})
}

func TestCommitterWhenAChangeFails(t *testing.T) {
	t.Parallel()
	own := errors.New("its own error")
	runSituations(t, []situation{
		{"a change that finds something wrong fails alone", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "first", put("first"))
			r.submit(t.Context(), "a", put("a"))
			r.submit(t.Context(), "wrong", func(store.Tx) error { return own })
			r.submit(t.Context(), "exists", put("a"))
			r.submit(t.Context(), "b", put("b"))
			r.flush(2)
			require.Equal(t, [][]string{{"first"}, {"a", "b"}}, r.batches)
			require.NoError(t, r.answers["a"])
			require.NoError(t, r.answers["b"])
			require.ErrorIs(t, r.answers["wrong"], own)
			require.ErrorIs(t, r.answers["exists"], job.ErrExists)
		}},
		{"a change that wrote and failed is taken out", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "first", put("first"))
			runs := 0
			r.submit(t.Context(), "a", func(tx store.Tx) error { runs++; return put("a")(tx) })
			r.submit(t.Context(), "wrong", func(tx store.Tx) error { return errors.Join(put("wrong")(tx), own) })
			r.submit(t.Context(), "b", put("b"))
			r.flush(2)
			require.ErrorIs(t, r.answers["wrong"], own)
			require.NotContains(t, r.answers, "a", "not answered before it is written")
			r.flush(1)
			require.Equal(t, []string{"first", "a", "b"}, r.committed)
			require.NoError(t, r.answers["a"])
			require.Equal(t, 2, runs)
			require.ErrorIs(t, r.flushes[1].Err, own)
		}},
		{"a change that panics is taken out", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "first", put("first"))
			r.submit(t.Context(), "wrong", func(store.Tx) error { panic("oh") })
			r.submit(t.Context(), "a", put("a"))
			r.flush(3)
			require.ErrorContains(t, r.answers["wrong"], "oh")
			require.Equal(t, []string{"first", "a"}, r.committed)
		}},
		{"many bad changes cost no square of attempts", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "first", put("first"))
			for i := range 10 {
				r.submit(t.Context(), fmt.Sprint("bad", i), put("unwritable"))
			}
			r.submit(t.Context(), "good", put("good"))
			r.flush(1 + 3 + 8)
			require.Len(t, r.answers, 12)
			require.NoError(t, r.answers["good"])
			require.ErrorIs(t, r.answers["bad9"], errDisk)
			require.Len(t, r.flushes, 12)
		}},
	})
}

func TestCommitterWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	runSituations(t, []situation{
		{"a store's failure that a change overlooks is not committed", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "first", put("first"))
			r.submit(t.Context(), "a", put("a"))
			r.submit(t.Context(), "careless", func(tx store.Tx) error { _ = put("unwritable")(tx); return put("half")(tx) })
			r.flush(3)
			require.ErrorIs(t, r.answers["careless"], errDisk)
			require.Equal(t, []string{"first", "a"}, r.committed)
		}},
		{"a failed commit fails all of it", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "first", put("first"))
			r.commitErr = errDisk
			r.submit(t.Context(), "a", put("a"))
			r.submit(t.Context(), "exists", put("a"))
			r.flush(2)
			require.ErrorIs(t, r.answers["a"], errDisk)
			require.ErrorIs(t, r.answers["exists"], errDisk, "what it found was never written")
			require.NotErrorIs(t, r.answers["exists"], job.ErrExists)
			require.ErrorIs(t, r.flushes[1].Err, errDisk)
		}},
		{"a transaction that hangs ends with its time", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "a", put("a"))
			<-time.After(store.DefaultCommitterConfig().FlushTimeout)
			synctest.Wait()
			require.ErrorIs(t, r.answers["a"], context.DeadlineExceeded)
		}},
	})
}

func TestCommitterWhenACallerGoesAway(t *testing.T) {
	t.Parallel()
	runSituations(t, []situation{
		{"a caller that goes away while it waits leaves nothing", func(t *testing.T, r *rig) {
			r.submit(t.Context(), "first", put("first"))
			ctx, cancel := context.WithCancel(t.Context())
			r.submit(ctx, "gone", put("gone"))
			cancel()
			synctest.Wait()
			require.ErrorIs(t, r.answers["gone"], context.Canceled)
			r.flush(1)
			require.Equal(t, []string{"first"}, r.committed)
		}},
		{"a caller that goes away too late learns the outcome", func(t *testing.T, r *rig) {
			ctx, cancel := context.WithCancel(t.Context())
			r.submit(ctx, "a", put("a"))
			cancel()
			synctest.Wait()
			require.NotContains(t, r.answers, "a")
			r.flush(1)
			require.NoError(t, r.answers["a"])
			require.Equal(t, []string{"a"}, r.committed)
		}},
	})
}

func TestCommitterBoundsBatchAndQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *store.CommitterConfig) { c.Queue, c.Batch = 3, 2 })
		ctx, cancel := context.WithCancel(t.Context())
		for _, name := range []string{"a", "b", "c", "d"} {
			r.submit(ctx, name, put(name))
		}
		require.Equal(t, 3, r.Waiting())
		r.submit(ctx, "beyond", put("beyond"))
		require.Equal(t, 3, r.Waiting())
		r.flush(1)
		require.Equal(t, 2, r.Waiting(), "it has moved up; two are taken")
		cancel()
		synctest.Wait()
		require.ErrorIs(t, r.answers["beyond"], context.Canceled)
		r.end(t)
		require.Equal(t, [][]string{{"a"}, {"b", "c"}}, r.batches)
	})
}

func TestCommitterConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := store.NewCommitter(&memory{}, store.CommitterConfig{})
	for _, fault := range []string{"queue 0", "batch 0", "flush timeout 0s"} {
		require.ErrorContains(t, err, fault)
	}
}
