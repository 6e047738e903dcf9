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
)

var errRegistry = errors.New("the registry is away")

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
	logger := slog.New(slog.NewTextHandler(log, nil))
	if screen == nil {
		p = pull.New(names, engine, logger, nil, func() {})
	} else {
		p = pull.New(names, engine, logger, screen, func() {})
	}
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

		waits := []time.Duration{}
		for _, call := range engine.calls {
			waits = append(waits, call.Sub(began))
		}
		require.Equal(t, []time.Duration{0, 2 * time.Second, 6 * time.Second}, waits)
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
