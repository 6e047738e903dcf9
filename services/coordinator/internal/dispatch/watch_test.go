package dispatch_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

func (w *world) watch(id aitbc.JobID, after stream.Cursor) *stream.Watcher {
	w.t.Helper()
	watcher, err := w.Watch(w.t.Context(), id, "key", after)
	require.NoError(w.t, err)
	return watcher
}

// seen gives what a watcher gets without waiting, in words, and where it is then.
func seen(t *testing.T, w *stream.Watcher) (string, stream.Cursor) {
	t.Helper()
	var words []string
	var at stream.Cursor
	for {
		ctx, cancel := context.WithCancel(t.Context())
		var e stream.Event
		var err error
		var looking sync.WaitGroup
		looking.Go(func() { e, err = w.Next(ctx) })
		synctest.Wait()
		cancel()
		looking.Wait()
		if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
			return strings.Join(words, " "), at
		}
		require.NoError(t, err)
		at = e.Cursor
		switch e.Kind {
		case stream.State:
			words = append(words, string(e.Job.Phase))
		case stream.Text:
			words = append(words, `"`+e.Text+`"`)
		case stream.Reset:
			words = append(words, "reset")
		case stream.Done:
			words = append(words, "done:"+e.Text)
		}
	}
}

func (p *player) asks() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func (p *player) chunk(lease string, offset int64, text string) {
	p.w.t.Helper()
	id, attempt, err := aitbc.ParseLeaseID(lease)
	require.NoError(p.w.t, err)
	p.w.Chunk(p.id, id, attempt, offset, text)
}

func TestAWatcherFollowsAJobFromItsSubmissionToItsEnd(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.connected(1, 1)
		j := w.submit()
		watcher := w.watch(j.ID, stream.Cursor{})
		defer watcher.Close()
		require.Equal(t, 1, w.Watchers())
		look := func(want string) {
			t.Helper()
			got, _ := seen(t, watcher)
			require.Equal(t, want, got)
		}
		look("escrowing")
		w.settle()
		h := p.lease()
		require.Equal(t, []string{h.Job.Lease().ID() + " from 0"}, p.asks(), "with the lease, so that no piece waits")
		p.begin(h)
		p.chunk(h.Job.Lease().ID(), 0, "Machine ")
		look(`running "Machine "`)
		pass(2 * time.Second)
		_, err := w.Complete(t.Context(), p.id, p.statement(h, answer))
		require.NoError(t, err)
		look(`"` + strings.TrimPrefix(answer, "Machine ") + `" settling`)
		w.settle()
		look("done:" + answer)

		late := w.watch(j.ID, stream.Cursor{})
		defer late.Close()
		got, _ := seen(t, late)
		require.Equal(t, `"`+answer+`" done:`+answer, got)
		_, err = w.Watch(t.Context(), aitbc.JobID{1}, "key", stream.Cursor{})
		require.ErrorIs(t, err, job.ErrNotFound)
	})
}

func TestWhoBeginsToWatchInMidAnswerGetsAllOfIt(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.connected(1, 1)
		j := w.queue()
		h := p.lease()
		lease := h.Job.Lease().ID()
		p.begin(h)
		p.chunk(lease, 0, "Mach")
		require.Empty(t, p.asks(), "nobody watches")

		watcher := w.watch(j.ID, stream.Cursor{})
		defer watcher.Close()
		require.Equal(t, []string{lease + " from 4"}, p.asks())
		p.say()
		again := w.watch(j.ID, stream.Cursor{})
		defer again.Close()
		require.Empty(t, p.asks(), "once is enough")
		p.chunk(lease, 4, "ine")
		got, _ := seen(t, watcher)
		require.Equal(t, `running "Machine"`, got)

		p.chunk(lease, 9, "!")
		require.Equal(t, []string{lease + " from 7"}, p.asks(), "a gap is asked for")
		w.connected(2, 1).chunk(lease, 7, "stranger")
		got, _ = seen(t, watcher)
		require.Empty(t, got, "only who holds the lease is heard")
	})
}

func TestWatchingSurvivesAReconnectAndARestart(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.connected(1, 1)
		j := w.submit()
		watcher := w.watch(j.ID, stream.Cursor{})
		w.settle()
		h := p.lease()
		lease := h.Job.Lease().ID()
		p.begin(h)
		p.chunk(lease, 0, "Mach")
		p.asks()

		p.state.Running = []string{lease}
		p.leave()
		p.connect()
		require.Equal(t, []string{lease + " from 4"}, p.asks(), "its stream is back, and it goes on")
		p.chunk(lease, 4, "ine")
		got, at := seen(t, watcher)
		require.Equal(t, `running "Machine"`, got)
		watcher.Close()

		w.restart()
		watcher = w.watch(j.ID, at)
		defer watcher.Close()
		p.connect()
		require.Equal(t, []string{lease + " from 0"}, p.asks(), "the miner is the source")
		p.chunk(lease, 0, "Machine le")
		got, _ = seen(t, watcher)
		require.Equal(t, `running " le"`, got)
	})
}

func TestALeaseThatIsSentAgainIsAskedForFromItsBeginning(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.connected(1, 1)
		j := w.submit()
		watcher := w.watch(j.ID, stream.Cursor{})
		defer watcher.Close()
		w.settle()
		h := p.lease()
		lease := h.Job.Lease().ID()
		p.begin(h)
		p.chunk(lease, 0, "Mach")
		seen(t, watcher)
		p.asks()
		p.leave()
		p.connect() // without the lease: the miner has crashed
		require.Equal(t, []string{lease + " from 0"}, p.asks())
		p.chunk(lease, 0, "Computers")
		got, _ := seen(t, watcher)
		require.Contains(t, got, `reset "Computers"`)
	})
}

func TestAnotherAttemptResetsItsWatchers(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.connected(1, 1)
		j := w.submit()
		watcher := w.watch(j.ID, stream.Cursor{})
		defer watcher.Close()
		w.settle()
		h := first.lease()
		first.begin(h)
		first.chunk(h.Job.Lease().ID(), 0, "Mach")
		seen(t, watcher)
		second := w.connected(2, 1)
		first.fail(h, engineError)
		again := second.lease()
		require.Equal(t, []string{again.Job.Lease().ID() + " from 0"}, second.asks())
		second.chunk(again.Job.Lease().ID(), 0, "Machine")
		first.chunk(h.Job.Lease().ID(), 4, "late")
		got, _ := seen(t, watcher)
		require.Equal(t, `leased reset "Machine"`, got)
		second.finish(again)
		w.settle()
		got, _ = seen(t, watcher)
		require.Contains(t, got, `done:`+answer)
	})
}
