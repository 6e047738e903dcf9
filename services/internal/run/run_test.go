package run_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aitbc/aitbc/services/internal/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal notes what happened in its order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// part works until it is stopped, and takes its time for that.
func (j *journal) part(name string, stopping time.Duration, err error) run.Func {
	return func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(stopping) // on the bubble's clock
		j.note(name)
		return err
	}
}

func TestPartsStopInReverseOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		g := &run.Group{}
		for i, stopping := range []time.Duration{0, 2 * time.Second, time.Second} {
			g.Add(fmt.Sprint(i), j.part(fmt.Sprint(i), stopping, nil))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		begin := time.Now()
		require.NoError(t, g.Run(ctx))
		require.Equal(t, []string{"2", "1", "0"}, j.lines)
		require.Equal(t, time.Minute+3*time.Second, time.Since(begin))
	})
}

func TestOnePartsErrorEndsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		broken, alsoBroken := errors.New("disk full"), errors.New("could not flush")
		g := &run.Group{}
		g.Add("store", j.part("store", 0, alsoBroken))
		g.Add("api", run.Func(func(context.Context) error { return broken }))
		err := g.Run(t.Context())
		require.ErrorIs(t, err, broken)
		require.ErrorIs(t, err, alsoBroken)
		require.ErrorContains(t, err, "api: disk full")
		require.Equal(t, []string{"store"}, j.lines)
	})
}

func TestAPartThatEndsByItselfIsAnError(t *testing.T) {
	t.Parallel()
	g := &run.Group{}
	g.Add("quitter", run.Func(func(context.Context) error { return nil }))
	err := g.Run(t.Context())
	require.ErrorIs(t, err, run.ErrEnded)
	require.ErrorContains(t, err, "quitter")
}

func TestPartsKeepTheValuesOfTheContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	g := &run.Group{}
	g.Add("reader", run.Func(func(ctx context.Context) error {
		require.Equal(t, "kept", ctx.Value(key{}))
		cancel()
		<-ctx.Done()
		return nil
	}))
	require.NoError(t, g.Run(ctx))
}

func TestWhenTheGraceIsOverAllAreEndedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		g := &run.Group{Grace: 10 * time.Second}
		g.Add("quick", j.part("quick", 0, nil))
		g.Add("slow", j.part("slow", 5*time.Second, nil))
		stuck := make(chan struct{})
		g.Add("stuck", run.Func(func(context.Context) error { <-stuck; return nil }))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		err := g.Run(ctx)
		require.EqualError(t, err, "stuck: did not stop in time")
		require.Equal(t, 20*time.Second, time.Since(begin), "the grace, and once more to notice")
		require.Equal(t, []string{"quick", "slow"}, j.lines)
		close(stuck)
		synctest.Wait()
	})
}

func TestAnHTTPServerFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	entered, leave := make(chan struct{}), make(chan struct{})
	server := run.NewHTTP(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		w.WriteHeader(http.StatusTeapot)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	status := make(chan int, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr().String(), nil)
		if err != nil {
			status <- 0
			return
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Do(request)
		if err != nil {
			status <- 0
			return
		}
		status <- answer.StatusCode
		_ = answer.Body.Close()
	}()
	<-entered
	cancel()
	close(leave)
	require.Equal(t, http.StatusTeapot, <-status)
	require.NoError(t, <-ended)
}
