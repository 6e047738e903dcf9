package run_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/test/bufconn"

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

// A body that does not come is given up; an answer may take as long as it likes.
func TestABodyHasADeadlineAndAnAnswerHasNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 10)
		server := run.NewHTTP(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestTimeout)
				return
			}
			select {
			case <-r.Context().Done(): // the server believes that the caller is gone
			case <-time.After(time.Hour):
				w.WriteHeader(http.StatusTeapot)
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- server.Run(ctx) }()
		for body, want := range map[string]struct {
			status int
			after  time.Duration
		}{
			"whole": {http.StatusTeapot, time.Hour},
			"who":   {http.StatusRequestTimeout, 30 * time.Second},
		} {
			conn, err := listener.Dial()
			require.NoError(t, err)
			began := time.Now()
			_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n%s", body)
			require.NoError(t, err)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, want.status, answer.StatusCode)
			require.Equal(t, want.after, time.Since(began))
			require.NoError(t, answer.Body.Close())
			require.NoError(t, conn.Close())
		}
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestMoreConnectionsThanTheBoundAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bound = 4096
		listener := bufconn.Listen(1 << 10)
		server := run.NewHTTP(listener, http.NotFoundHandler())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- server.Run(ctx) }()
		dial := func() net.Conn {
			conn, err := listener.Dial()
			require.NoError(t, err)
			synctest.Wait()
			return conn
		}
		conns := make([]net.Conn, bound)
		for i := range conns {
			conns[i] = dial()
		}
		_, err := dial().Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)

		require.NoError(t, conns[0].Close())
		synctest.Wait()
		conn := dial()
		_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, "there is room again")
		require.NoError(t, answer.Body.Close())
		for _, conn := range append(conns, conn) {
			require.NoError(t, conn.Close())
		}
		cancel()
		require.NoError(t, <-ended)
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
