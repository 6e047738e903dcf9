package pull_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/pull"
)

const (
	here   = "here:latest"
	lacked = "lacked:latest"
	hidden = "hidden:latest" // pulled, and never listed
	asked  = "asked:latest"
	huge   = "huge:latest" // there is no room for it
)

var (
	errRegistry = errors.New("the registry is away")
	errRoom     = errors.New("there is no room")
)

// shelf is an engine whose registry answers at the third call; a model takes it a minute.
type shelf struct {
	mu     sync.Mutex
	models []executor.Model
	calls  []time.Time
}

func (s *shelf) Models(context.Context) ([]executor.Model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]executor.Model(nil), s.models...), nil
}

func (s *shelf) fits(model string, _ int64) error {
	if model == huge {
		return errRoom
	}
	return nil
}

// begun gives when each pull began.
func (s *shelf) begun(since time.Time) (after []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		after = append(after, call.Sub(since))
	}
	return after
}

func (s *shelf) Pull(ctx context.Context, model string, progress func(done, total int64)) error {
	s.mu.Lock()
	s.calls = append(s.calls, time.Now())
	calls := len(s.calls)
	s.mu.Unlock()
	if calls < 3 {
		return errRegistry
	}
	for done := int64(0); done <= 60; done++ {
		progress(done<<20, 60<<20)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if model != hidden {
		s.models = append(s.models, executor.Model{Name: model, Digest: "d"})
	}
	return nil
}

// pulling runs a puller of these models until the returned function is called.
func pulling(t *testing.T, engine *shelf, screen *bytes.Buffer, names ...string) (p *pull.Puller, log *bytes.Buffer, stop func()) {
	t.Helper()
	log = &bytes.Buffer{}
	deps := pull.Deps{Engine: engine, Log: slog.New(slog.NewTextHandler(log, nil)), Pulled: func() {}, Moved: func() {}, Fits: engine.fits}
	if screen != nil {
		deps.Screen = screen
	}
	p = pull.New(names, []string{"asked", "huge", here}, deps)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- p.Run(ctx) }()
	return p, log, func() {
		cancel()
		require.NoError(t, <-left)
	}
}

func TestWhatIsLackingIsPulledAndTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := &shelf{models: []executor.Model{{Name: here}}}
		began := time.Now()
		p, log, stop := pulling(t, engine, nil, "here", "lacked", "lacked:latest")
		synctest.Wait()
		require.Equal(t, []pull.State{{Name: lacked, Err: p.States()[0].Err}}, p.States(), "what is here is not pulled")
		require.ErrorIs(t, p.States()[0].Err, errRegistry)

		<-time.After(6*time.Second + 30*time.Second)
		synctest.Wait()
		state := p.States()[0]
		require.True(t, state.Active)
		require.EqualValues(t, 30<<20, state.DoneBytes)
		require.EqualValues(t, 60<<20, state.TotalBytes)
		<-time.After(time.Minute)
		synctest.Wait()
		require.Empty(t, p.States())
		stop()

		require.Equal(t, []time.Duration{0, 2 * time.Second, 6 * time.Second}, engine.begun(began))
		require.Contains(t, log.String(), `bytes=31457280 of=62914560`, "half a minute is worth a line")
		require.Contains(t, log.String(), `msg="a model is pulled" model=lacked:latest digest=d`)
	})
}

func TestATerminalSeesTheProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		engine := &shelf{calls: make([]time.Time, 2)}
		_, log, stop := pulling(t, engine, &screen, "lacked")
		<-time.After(2 * time.Minute)
		stop()
		require.Contains(t, screen.String(), "Pulling lacked:latest: 50 % of 60 MiB\r")
		require.True(t, strings.HasSuffix(screen.String(), "\r\x1b[K"), "the line is empty in the end")
		require.NotContains(t, log.String(), "bytes=31457280")
	})
}

func TestAPullEndsWithTheMiner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, log, stop := pulling(t, &shelf{calls: make([]time.Time, 2)}, nil, "lacked")
		<-time.After(10 * time.Second)
		stop()
		require.Len(t, p.States(), 1)
		require.NotContains(t, log.String(), "cannot pull")
	})
}

func TestAModelThatTheEngineDoesNotListIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _, stop := pulling(t, &shelf{calls: make([]time.Time, 2)}, nil, "hidden")
		<-time.After(61500 * time.Millisecond)
		synctest.Wait()
		require.ErrorContains(t, p.States()[0].Err, "`ollama list`")
		stop()
	})
}

func TestWhatIsAskedForIsPulledOnceForEachAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine, began := &shelf{}, time.Now()
		p, _, stop := pulling(t, engine, nil)
		synctest.Wait()
		require.Empty(t, p.States(), "nothing is pulled by itself")
		p.Want([]string{"another:latest"})
		synctest.Wait()
		require.Empty(t, p.States(), "nor what the owner does not allow")

		p.Want([]string{asked})
		<-time.After(time.Hour)
		state := p.States()[0]
		require.ErrorIs(t, state.Err, errRegistry)
		require.Equal(t, pull.State{Name: asked, Requested: true, Err: state.Err}, state)
		p.Want([]string{asked})
		<-time.After(time.Hour)
		require.Equal(t, []time.Duration{0}, engine.begun(began), "it is tried once")

		p.Want(nil)
		require.Empty(t, p.States())
		p.Want([]string{asked}) // fails again
		synctest.Wait()
		p.Want(nil)
		p.Want([]string{asked}) // too soon: the second failure costs 4 s
		synctest.Wait()
		require.Equal(t, []pull.State{{Name: asked, Requested: true}}, p.States())
		<-time.After(2 * time.Minute)
		require.Equal(t, []time.Duration{0, 2 * time.Hour, 2*time.Hour + 4*time.Second}, engine.begun(began))
		require.Empty(t, p.States(), "it is there")
		stop()
	})
}

func TestWhatIsWantedNoMoreIsLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine, began := &shelf{calls: make([]time.Time, 2)}, time.Now()
		p, log, stop := pulling(t, engine, nil)
		p.Want([]string{asked})
		<-time.After(30 * time.Second)
		require.True(t, p.States()[0].Active)
		p.Want(nil)
		synctest.Wait()
		require.Empty(t, p.States())
		require.NotContains(t, log.String(), "cannot pull")

		p.Want([]string{asked})
		synctest.Wait()
		require.True(t, p.States()[0].Active, "that was nobody's fault, so it begins at once")
		require.Equal(t, []time.Duration{0, 30 * time.Second}, engine.begun(began)[2:])
		stop()
	})
}

func TestWhatIsAskedForGoesBeforeTheOwners(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := &shelf{calls: make([]time.Time, 2)}
		p, _, stop := pulling(t, engine, nil, "lacked", "hidden")
		synctest.Wait()
		p.Want([]string{asked})
		<-time.After(90 * time.Second)
		require.Equal(t, []string{hidden, asked}, []string{p.States()[0].Name, p.States()[1].Name})
		require.True(t, p.States()[1].Active)
		stop()
	})
}

func TestAModelThatIsTooLargeIsNotFetchedForAJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _, stop := pulling(t, &shelf{calls: make([]time.Time, 2)}, nil)
		p.Want([]string{huge})
		<-time.After(3 * time.Second)
		require.ErrorIs(t, p.States()[0].Err, errRoom)
		require.False(t, p.States()[0].Active)
		stop()
	})
}
