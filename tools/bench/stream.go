package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/ollama/ollama/api"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/engine"
)

// paces are how many tokens a second the engine makes at most: 50 and 100, as a good GPU does of a
// middling model, and 0, as fast as it can. The tiny model alone is done before much could flow.
var paces = []int{0, 50, 100}

// pacer is an engine that is slowed down.
type pacer struct {
	engine    *url.URL
	perSecond atomic.Int64 // 0: it is not
}

// course is how one answer came: its first piece, counted from the call, and from there its last.
type course struct {
	first, rest time.Duration
	pieces      int
}

// streamPart watches answers as they are made, through an idle network and from the engine itself,
// in turn. The engine is the same paced one for both.
func streamPart(ctx context.Context, o options) (_ []figure, err error) {
	served, err := engine.Start(ctx, engine.Options{Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, served.Stop()) }()
	target, err := url.Parse(served.URL())
	if err != nil {
		return nil, err
	}
	p := &pacer{engine: target}
	paced := httptest.NewServer(p)
	defer paced.Close()
	base, err := url.Parse(paced.URL)
	if err != nil {
		return nil, err
	}
	client, stop, err := startNetwork(ctx, o, paced.URL)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	var figures []figure
	for _, pace := range paces {
		p.perSecond.Store(int64(pace))
		compared, err := compareStreams(ctx, o.runs, client, api.NewClient(base, http.DefaultClient))
		if err != nil {
			return nil, err
		}
		at := "at full speed"
		if pace > 0 {
			at = fmt.Sprintf("at %d tokens/s", pace)
		}
		for _, f := range compared {
			f.Name += ", " + at
			figures = append(figures, f)
		}
	}
	return figures, nil
}

// compareStreams watches the answers.
func compareStreams(ctx context.Context, runs int, client *aitbc.Client, direct *api.Client) ([]figure, error) {
	var first, rest, directFirst, directRest, escrowed, added samples
	for run := range warmUp/4 + runs {
		ours, queued, err := watchJob(ctx, client)
		if err != nil {
			return nil, fmt.Errorf("job %d: %w", run, err)
		}
		peer, err := askPaced(ctx, direct)
		if err != nil {
			return nil, fmt.Errorf("direct call %d: %w", run, err)
		}
		if run < warmUp/4 {
			continue
		}
		first, directFirst = append(first, ours.first), append(directFirst, peer.first)
		rest, directRest = append(rest, ours.perPiece(peer.pieces)), append(directRest, peer.perPiece(peer.pieces))
		escrowed, added = append(escrowed, queued), append(added, ours.first-peer.first-queued)
	}
	const part, name = "stream", "Ollama called directly"
	var figures []figure
	for _, q := range []float64{0.5, 0.99} {
		figures = append(figures,
			compare(part, "submit to first token", q, first, directFirst, name),
			compare(part, "submit to escrowed", q, escrowed, nil, ""),
			compare(part, "added to the first token beyond the escrow", q, added, nil, ""),
			compare(part, "time of a token after the first", q, rest, directRest, name),
		)
	}
	return figures, nil
}

// perPiece gives the mean time between two tokens. Ours may come joined, so the engine's are counted.
func (c course) perPiece(pieces int) time.Duration { return c.rest / time.Duration(max(pieces-1, 1)) }

// watchJob submits a job and reads its events. queued is when its escrow was seen to be there.
func watchJob(ctx context.Context, client *aitbc.Client) (c course, queued time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	begin := time.Now()
	var last time.Duration
	for event, err := range client.Stream(ctx, aitbc.SubmitRequest{Prompt: benchAsk, Model: benchModel, Options: aitbc.Options{Temperature: new(float64)}}) {
		if err != nil {
			return c, 0, err
		}
		elapsed := time.Since(begin)
		switch {
		case event.Kind == aitbc.EventText:
			first(&c.first, elapsed, true)
			last = elapsed
			c.pieces++
		case event.Kind == aitbc.EventState && event.Job.Phase != "":
			first(&queued, elapsed, event.Job.Phase != "escrowing")
		case event.Kind == aitbc.EventDone && event.Job.Err() != nil:
			return c, 0, event.Job.Err()
		}
	}
	c.rest = last - c.first
	return c, queued, nil
}

// askPaced reads an answer from the paced engine itself.
func askPaced(ctx context.Context, client *api.Client) (c course, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	begin := time.Now()
	var last time.Duration
	err = client.Generate(ctx, &api.GenerateRequest{
		Model: benchModel, Prompt: benchAsk, Options: map[string]any{"temperature": 0, "num_predict": 500},
	}, func(answer api.GenerateResponse) error {
		if answer.Response != "" {
			last = time.Since(begin)
			first(&c.first, last, true)
			c.pieces++
		}
		return nil
	})
	c.rest = last - c.first
	return c, err
}

// ServeHTTP passes everything on to the engine, and its generated lines no faster than the pace.
func (p *pacer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// All of it first: a server closes what is left of a body when the answer begins.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, p.engine.JoinPath(r.URL.Path).String(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	var pause <-chan time.Time
	if pace := p.perSecond.Load(); pace > 0 && r.URL.Path == "/api/generate" {
		tick := time.NewTicker(time.Second / time.Duration(pace))
		defer tick.Stop()
		pause = tick.C
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = w.Write(append(lines.Bytes(), '\n')) // a caller that is gone is noticed below
		if http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
			return
		}
		if pause != nil {
			<-pause
		}
	}
}
