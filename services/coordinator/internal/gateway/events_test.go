package gateway_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// page is an open answer that is read while it is written.
type page struct {
	header http.Header
	ended  chan struct{} // closed when the handler has returned
	leave  context.CancelFunc

	mu     sync.Mutex
	status int
	text   bytes.Buffer
}

func (p *page) Header() http.Header { return p.header }
func (p *page) Flush()              {}

func (p *page) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *page) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

// read gives what has been written since the last call, when all is quiet.
func (p *page) read() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.text.Reset()
	return p.text.String()
}

// inBubble runs a test over the edge without a network, where time passes only while all wait.
func inBubble(t *testing.T, test func(t *testing.T, w *world, p *port)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.jobs[jobID] = runningJob()
		p, stop := assemble(t, w, auth.DefaultLimitConfig())
		defer stop()
		test(t, w, p)
	})
}

func runningJob() job.Job {
	j := job.Job{ID: jobID, Phase: job.Running, Attempt: 1, Type: "inference", Model: "tiny:latest", SubmittedAt: submittedAt}
	j.Order.Client = client
	return j
}

func doneJob() job.Job {
	j := runningJob()
	j.Phase, j.Outcome, j.Completion = job.Done, job.StatusCompleted, &job.Completion{}
	return j
}

// open asks for the job's events.
func (p *port) open(t *testing.T, headers ...string) *page {
	t.Helper()
	return p.openAt(t, "/v1/jobs/"+jobID.String()+"/events", headers...)
}

func (p *port) openAt(t *testing.T, path string, headers ...string) *page {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	out := &page{header: http.Header{}, ended: make(chan struct{}), leave: leave}
	go func() {
		defer close(out.ended)
		p.handler.ServeHTTP(out, request)
	}()
	return out
}

// short leaves out what a test of events does not look at.
func short(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, `data: {"job_id"`) {
			lines[i] = "data: JOB"
		}
	}
	return strings.Join(lines, "\n")
}

func TestEventsAreServerSentEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, p *port) {
		out := p.open(t, "X-Api-Key", clientKey)
		state := out.read()
		require.Contains(t, state, `data: {"job_id":"`+jobID.String()+`","status":"running","phase":"running"`)
		require.Equal(t, "event: state\nid: 0.0.00000000\ndata: JOB\n\n", short(state))
		require.Equal(t, http.StatusOK, out.status)
		require.Equal(t, "text/event-stream", out.header.Get("Content-Type"))
		require.NotEmpty(t, out.header.Get("X-Request-Id"))
		require.Equal(t, []string{"key_" + clientKey}, w.watched)

		w.topics[jobID].Append(1, 0, "Ma\n")
		require.Equal(t, "event: text\nid: 1.3.5c13be4b\ndata: {\"attempt\":1,\"offset\":0,\"text\":\"Ma\\n\"}\n\n", out.read())
		w.results[jobID] = "Ma\nchine"
		w.topics[jobID].Move(doneJob())
		require.Equal(t, "event: text\nid: 1.8.5d1b32f8\ndata: {\"attempt\":1,\"offset\":3,\"text\":\"chine\"}\n\n"+
			"event: done\nid: 1.8.5d1b32f8.done\ndata: JOB\n\n", short(out.read()))
		<-out.ended
	})
}

func TestEventsGoOnBehindTheLastOne(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, p *port) {
		first := p.open(t, "X-Api-Key", clientKey)
		first.read()
		w.topics[jobID].Append(1, 0, "Ma\n")
		require.Contains(t, first.read(), "id: 1.3.5c13be4b\n")
		first.leave()
		<-first.ended
		w.topics[jobID].Append(1, 3, "chine")

		again := p.open(t, "X-Api-Key", clientKey, "Last-Event-ID", "1.3.5c13be4b")
		rest := "event: state\nid: 1.3.5c13be4b\ndata: JOB\n\nevent: text\nid: 1.8.5d1b32f8\ndata: {\"attempt\":1,\"offset\":3,\"text\":\"chine\"}\n\n"
		require.Equal(t, rest, short(again.read()))
		query := p.openAt(t, "/v1/jobs/"+jobID.String()+"/events?after_event_id=1.3.5c13be4b", "X-Api-Key", clientKey)
		require.Equal(t, rest, short(query.read()))

		w.jobs[jobID], w.results[jobID] = doneJob(), "Ma\nchine"
		w.topics[jobID].Move(doneJob())
		for _, out := range []*page{again, query} {
			require.Contains(t, out.read(), "event: done\n")
			<-out.ended
		}
		delete(w.topics, jobID) // as after the job has left the memory
		whole := p.open(t, "X-Api-Key", clientKey)
		require.Equal(t, "event: text\nid: 1.8.5d1b32f8\ndata: {\"attempt\":1,\"offset\":0,\"text\":\"Ma\\nchine\"}\n\n"+
			"event: done\nid: 1.8.5d1b32f8.done\ndata: JOB\n\n", short(whole.read()))
		<-whole.ended
		over := p.open(t, "X-Api-Key", clientKey, "Last-Event-ID", "1.8.5d1b32f8.done")
		require.Empty(t, over.read())
		<-over.ended
		require.Equal(t, http.StatusNoContent, over.status, "so that a browser does not come again")
	})
}

func TestASilentStreamOfEventsSaysThatItLives(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, p *port) {
		out := p.open(t, "X-Api-Key", clientKey)
		out.read()
		<-time.After(15*time.Second - time.Millisecond)
		require.Empty(t, out.read())
		<-time.After(time.Millisecond)
		require.Equal(t, ": alive\n\n", out.read())
		<-time.After(15 * time.Second)
		require.Equal(t, ": alive\n\n", out.read())
		out.leave()
		<-out.ended
	})
}

func TestAStoppingCoordinatorSendsItsWatchersAway(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, p *port) {
		out := p.open(t, "X-Api-Key", clientKey)
		out.read()
		close(w.stopping)
		text := out.read()
		require.True(t, strings.HasPrefix(text, "event: error\ndata: {\"code\":14,"), text)
		require.Contains(t, text, `"reason":"OVERLOADED"`)
		<-out.ended
	})
}

func TestAJobIsCancelledWithItsWatcherWhereThatIsAskedFor(t *testing.T) {
	path := "/v1/jobs/" + jobID.String() + "/events"
	for name, c := range map[string]struct {
		query string
		end   func(*world, *page)
		want  []aitbc.JobID
	}{
		"it goes away":                      {"?cancel_on_disconnect=true", func(_ *world, out *page) { out.leave() }, []aitbc.JobID{jobID}},
		"it goes away, and did not ask":     {"", func(_ *world, out *page) { out.leave() }, nil},
		"it goes away, and asked not to":    {"?cancel_on_disconnect=false", func(_ *world, out *page) { out.leave() }, nil},
		"it is sent away by our own stop":   {"?cancel_on_disconnect=true", func(w *world, _ *page) { close(w.stopping) }, nil},
		"it sees the job's end and is gone": {"?cancel_on_disconnect=true", func(w *world, _ *page) { w.topics[jobID].Move(doneJob()) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world, p *port) {
				out := p.openAt(t, path+c.query, "X-Api-Key", clientKey)
				out.read()
				c.end(w, out)
				<-out.ended
				synctest.Wait()
				require.Equal(t, c.want, w.cancelled)
			})
		})
	}
}

func TestEventsThatCannotBeHadAreErrorsLikeAllOthers(t *testing.T) {
	path := "/v1/jobs/" + jobID.String() + "/events"
	cases := map[string]struct {
		path    string
		headers []string
		status  int
		says    string
	}{
		"no key":             {path, nil, http.StatusUnauthorized, "INVALID_KEY"},
		"a miner's key":      {path, []string{"X-Miner-Key", theMinerKey}, http.StatusForbidden, "SCOPE_MISSING"},
		"another's job":      {path, []string{"X-Api-Key", strangerKey}, http.StatusNotFound, "JOB_NOT_FOUND"},
		"no such job":        {"/v1/jobs/" + numbered(9).String() + "/events", []string{"X-Api-Key", clientKey}, http.StatusNotFound, "JOB_NOT_FOUND"},
		"no event's id":      {path, []string{"X-Api-Key", clientKey, "Last-Event-ID", "7"}, http.StatusBadRequest, "after_event_id"},
		"two ids":            {path, []string{"X-Api-Key", clientKey, "Last-Event-ID", "", "Last-Event-ID", ""}, http.StatusBadRequest, "Last-Event-ID"},
		"an unknown query":   {path + "?from=1", []string{"X-Api-Key", clientKey}, http.StatusBadRequest, "from"},
		"a path behind them": {path + "/1", []string{"X-Api-Key", clientKey}, http.StatusNotFound, "ROUTE_NOT_FOUND"},
	}
	inBubble(t, func(t *testing.T, w *world, p *port) {
		for name, c := range cases {
			out := p.openAt(t, c.path, c.headers...)
			text := out.read()
			<-out.ended
			require.Equal(t, c.status, out.status, "%s: %s", name, text)
			require.Equal(t, "application/json", out.header.Get("Content-Type"), name)
			require.Contains(t, text, c.says, name)
		}
		require.Empty(t, w.watched)
	})
}

func TestAnotherVerbForEventsIsRefused(t *testing.T) {
	t.Parallel()
	answer := serve(t, newWorld(), auth.DefaultLimitConfig()).do(t, http.MethodPost, "/v1/jobs/"+jobID.String()+"/events", "")
	require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
	require.Equal(t, "GET", answer.Header.Get("Allow"))
}

func TestAWatcherThatDoesNotReadIsCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, p *port) {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-api-key", clientKey)
		events, err := coordinatorv1.NewJobServiceClient(p.conn).WatchJob(ctx, &coordinatorv1.WatchJobRequest{JobId: jobID.String()})
		require.NoError(t, err)
		_, err = events.Recv()
		require.NoError(t, err)
		piece := strings.Repeat("x", 50_000)
		for i := range int64(10) {
			require.False(t, w.topics[jobID].Append(1, i*50_000, piece), "nobody waits for it")
			synctest.Wait()
		}
		began := time.Now()
		for w.topics[jobID].Watched() {
			<-time.After(time.Second)
		}
		require.InDelta(t, 30, time.Since(began).Seconds(), 1)
		for err == nil {
			_, err = events.Recv()
		}
		failure, ok := apierr.FromStatus(status.Convert(err))
		require.True(t, ok, "%v", err)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, failure.Reason)
	})
}

func TestTooManyWatchersAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world, p *port) {
		few := stream.DefaultConfig()
		few.PerJob = 2
		w.topics[jobID] = stream.NewHub(few).Topic(runningJob())
		var pages []*page
		for range 2 {
			pages = append(pages, p.open(t, "X-Api-Key", clientKey))
			pages[len(pages)-1].read()
		}
		out := p.open(t, "X-Api-Key", clientKey)
		require.Contains(t, out.read(), "RATE_LIMITED")
		<-out.ended
		require.Equal(t, http.StatusTooManyRequests, out.status)
		require.Equal(t, "1", out.header.Get("Retry-After"))
		for _, open := range pages {
			open.leave()
			<-open.ended
		}
		synctest.Wait()
		require.False(t, w.topics[jobID].Watched())
	})
}
