package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

// dripping passes the engine's answer on a line at a time, each when the test says so.
type dripping struct {
	drops chan struct{} // one for each line; closed: all that are left
}

func newDripping() *dripping { return &dripping{drops: make(chan struct{}, 1000)} }

func (d *dripping) fault(w http.ResponseWriter, r *http.Request, engine http.Handler) {
	whole := httptest.NewRecorder()
	engine.ServeHTTP(whole, r)
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := bufio.NewScanner(whole.Body)
	for lines.Scan() {
		select {
		case <-d.drops:
		case <-r.Context().Done():
			return
		}
		_, _ = w.Write(append(lines.Bytes(), '\n'))
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

func (d *dripping) drip(lines int) {
	for range lines {
		d.drops <- struct{}{}
	}
}

// viewer is a client of the job's events as a browser is one.
type viewer struct {
	t    *testing.T
	url  string
	last string // the last event's id
	text string
	// states are the phases that were seen; resets counts those.
	states []string
	resets int
	done   map[string]any
	failed map[string]any // why the stream ended early

	body   *bufio.Scanner
	hangUp context.CancelFunc
}

func view(t *testing.T, n *network.Network, id string) *viewer {
	t.Helper()
	v := &viewer{t: t, url: "http://" + n.CoordinatorREST + "/v1/jobs/" + id + "/events"}
	v.open()
	t.Cleanup(func() { v.hangUp() })
	return v
}

// open opens the stream behind the last event.
func (v *viewer) open() {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), patience)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url, http.NoBody)
	require.NoError(v.t, err)
	request.Header.Set("X-Api-Key", clientKey)
	if v.last != "" {
		request.Header.Set("Last-Event-ID", v.last)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(v.t, err)
	require.Equal(v.t, http.StatusOK, response.StatusCode)
	require.Equal(v.t, "text/event-stream", response.Header.Get("Content-Type"))
	v.body, v.hangUp = bufio.NewScanner(response.Body), func() {
		cancel()
		_ = response.Body.Close()
	}
}

// next takes one event; false: the stream has ended.
func (v *viewer) next() bool {
	v.t.Helper()
	event, id := "", ""
	var data map[string]any
	for v.body.Scan() {
		field, value, _ := strings.Cut(v.body.Text(), ": ")
		switch field {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			data = nil
			require.NoError(v.t, json.Unmarshal([]byte(value), &data))
		case "":
			if event != "" {
				v.last = id
				v.take(event, data)
				return true
			}
		}
	}
	return false
}

func (v *viewer) take(event string, data map[string]any) {
	v.t.Helper()
	switch event {
	case "state":
		v.states = append(v.states, data["phase"].(string))
	case "text":
		require.EqualValues(v.t, len(v.text), data["offset"], "no gap and no repetition")
		v.text += data["text"].(string)
	case "attempt_reset":
		v.text = ""
		v.resets++
	case "done":
		v.done = data
	case "error":
		v.failed = data
	default:
		require.Fail(v.t, "an unexpected event", "%s %v", event, data)
	}
}

// readUntil takes events until the text is that long.
func (v *viewer) readUntil(length int) {
	v.t.Helper()
	for len(v.text) < length {
		require.True(v.t, v.next(), "the stream ended after %q", v.text)
	}
}

// followDrops has the engine say three pieces and takes each before the next.
func (v *viewer) followDrops(drops *dripping) {
	v.t.Helper()
	for range 3 {
		before := len(v.text)
		drops.drip(1)
		v.readUntil(before + 1)
	}
}

func (v *viewer) readToTheEnd() {
	v.t.Helper()
	for v.done == nil {
		require.True(v.t, v.next(), "the stream ended after %q", v.text)
	}
	require.False(v.t, v.next(), "nothing follows the end")
}

// requireSigned requires that what the viewer saw is what the miner signed.
func (v *viewer) requireSigned(n *network.Network) {
	v.t.Helper()
	require.Equal(v.t, "completed", v.done["status"], "%v", v.done)
	require.Equal(v.t, v.done["result"], v.text)
	receipt := call(v.t, n, http.MethodGet, "/v1/receipts/"+v.done["receipt_id"].(string), nil, asClient()...)
	require.Equal(v.t, http.StatusOK, receipt.Status, "%v", receipt.Body)
	hash := sha256.Sum256([]byte(v.text))
	require.Equal(v.t, hex.EncodeToString(hash[:]), receipt.text("result_hash"))
}

func TestTheAnswerStreamsWordByWord(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)
	v := view(t, n, submit(t, n, seedJob()))

	for range 5 {
		before := len(v.text)
		drops.drip(1)
		v.readUntil(before + 1) // each piece comes although the next is not made yet
		require.True(t, strings.HasPrefix(answer, v.text), "%q", v.text)
	}
	close(drops.drops)
	v.readToTheEnd()

	require.True(t, strings.HasPrefix(v.text, answer), "%q", v.text)
	require.Contains(t, v.states, "running")
	require.Zero(t, v.resets)
	v.requireSigned(n)

	late := view(t, n, v.done["job_id"].(string))
	late.readToTheEnd()
	require.Equal(t, v.text, late.text, "a job that has ended is told from its start")
	late.requireSigned(n)
}

func TestAWatcherThatIsCutTwiceGetsEachByteOnce(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)
	v := view(t, n, submit(t, n, seedJob()))

	for range 2 {
		before := len(v.text)
		drops.drip(2)
		v.readUntil(before + 1)
		v.hangUp()
		drops.drip(2) // while nobody watches
		v.open()
	}
	close(drops.drops)
	v.readToTheEnd()

	require.Zero(t, v.resets)
	v.requireSigned(n)
}

func TestKillInMidAnswerIsAPauseForTheWatcher(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)
	id := submit(t, n, seedJob())
	v := view(t, n, id)
	drops.drip(4)
	v.readUntil(1)

	n.Kill()
	for v.next() { // what was on its way
	}
	v.hangUp()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, n.Restart(ctx))
	v.open()
	close(drops.drops)
	v.readToTheEnd()

	require.Zero(t, v.resets, "the miner ran the lease again, and said the same")
	require.EqualValues(t, 1, v.done["attempts"])
	v.requireSigned(n)
	requireConserved(t, n)
}

// TestKillInMidAnswerAndAnotherAnswer has the engine answer something else when the miner runs the
// lease again: then what was seen is void, and the watcher must hear so.
func TestKillInMidAnswerAndAnotherAnswer(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)
	v := view(t, n, submit(t, n, seedJob()))
	drops.drip(4)
	v.readUntil(1)

	n.Kill()
	v.hangUp()
	engine.set(func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		_, _ = w.Write([]byte(`{"model":"tiny","response":"Something else: "}` + "\n"))
		real.ServeHTTP(w, r)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, n.Restart(ctx))
	v.open()
	v.readToTheEnd()

	require.Equal(t, 1, v.resets)
	require.True(t, strings.HasPrefix(v.text, "Something else: "), "%q", v.text)
	v.requireSigned(n)
}

func TestACancelledAnswerIsWhatItsWatcherSaw(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)
	id := submit(t, n, seedJob())
	v := view(t, n, id)
	drops.drip(2)
	v.readUntil(1)

	cancelled := call(t, n, http.MethodPost, "/v1/jobs/"+id+":cancel", map[string]any{}, asClient()...)
	require.Equal(t, http.StatusOK, cancelled.Status, "%v", cancelled.Body)
	v.readToTheEnd()

	require.Equal(t, "cancelled", v.done["status"])
	require.NotEmpty(t, v.text)
	require.Equal(t, v.done["result"], v.text)
	require.Zero(t, v.resets)
}

func TestAStoppingNetworkSendsItsWatchersAway(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	v := view(t, n, submit(t, n, seedJob()))
	require.True(t, v.next())

	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop() }()
	for v.next() {
	}
	require.NoError(t, <-stopped)

	require.Equal(t, "OVERLOADED", answerOf{Body: v.failed}.reason(), "%v", v.failed)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, n.Restart(ctx))
}

func TestTheSDKStreamsOverBothTransports(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	for _, target := range []string{"http://" + n.CoordinatorREST, n.CoordinatorGRPC} {
		client, err := aitbc.New(target, aitbc.WithAPIKey(clientKey))
		require.NoError(t, err)
		text, began := "", time.Now()
		var last *aitbc.Event
		for event, err := range client.Stream(t.Context(), aitbc.SubmitRequest{Prompt: question, Model: "tiny"}) {
			require.NoError(t, err)
			text += event.Text
			last = event
		}
		t.Logf("%s: %d bytes in %s", target, len(text), time.Since(began))
		require.Equal(t, aitbc.StatusCompleted, last.Job.Status)
		require.Equal(t, last.Job.Result, text)
		require.NoError(t, client.Close())
	}
}

func TestTheCommandLineStreams(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)

	out := cli(t, n, "submit", "inference", "--prompt", question, "--model", "tiny", "--stream")

	require.Zero(t, out.Code, out.Stderr)
	require.True(t, strings.HasPrefix(line(out.Stdout, "Result: "), answer), out.Stdout)
	require.Equal(t, "completed", line(out.Stdout, "Status: "))
	again := cli(t, n, "watch", line(out.Stdout, "Job ID: "))
	require.Equal(t, out.Stdout, again.Stdout)
}
