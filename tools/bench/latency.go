package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/ollama/ollama/api"
	"golang.org/x/sync/errgroup"

	"github.com/aitbc/aitbc/tools/internal/fakeengine"
)

// latencyJobs is how many jobs each mix of engine and load has at least.
const latencyJobs = 128

// latencyPart sends jobs through the whole network, so many in flight, in front of engines that take ever
// longer, and asks the engine itself in between. What is compared is until the answer is there.
func latencyPart(ctx context.Context, o options) ([]figure, error) {
	var figures []figure
	for _, delay := range []time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond} {
		of, err := latencyOf(ctx, o, delay)
		if err != nil {
			return nil, fmt.Errorf("an engine of %s: %w", delay, err)
		}
		figures = append(figures, of...)
	}
	return figures, nil
}

func latencyOf(ctx context.Context, o options, delay time.Duration) (figures []figure, err error) {
	b, err := startBed(ctx, o, &fakeengine.Engine{Delay: delay}, 256)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	address, err := url.Parse(b.engine.URL)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	defer transport.CloseIdleConnections()
	direct := api.NewClient(address, &http.Client{Transport: transport})
	for _, inFlight := range []int{1, 16, 64, 256} {
		jobs := max(cmp.Or(o.jobs, latencyJobs), 2*inFlight)
		var ours, peer samples
		for range 2 { // interleaved
			part, err := timed(ctx, jobs/2, inFlight, func(ctx context.Context) error { return awaitAnswer(ctx, b.client, b.request("one")) })
			if err != nil {
				return nil, err
			}
			ours = append(ours, part...)
			part, err = timed(ctx, jobs/2, inFlight, func(ctx context.Context) error {
				request := &api.GenerateRequest{Model: fakeengine.Model, Prompt: "one"}
				return direct.Generate(ctx, request, func(api.GenerateResponse) error { return nil })
			})
			if err != nil {
				return nil, err
			}
			peer = append(peer, part...)
		}
		for _, q := range []float64{0.5, 0.99} {
			name := fmt.Sprintf("engine of %d ms, %d in flight: submit to answer", delay.Milliseconds(), inFlight)
			f := compare("latency", name, q, ours, peer, "the engine asked directly")
			figures = append(figures, f)
		}
	}
	return figures, nil
}

// timed calls do n times, so many at once, and gives how long each call took.
func timed(ctx context.Context, n, limit int, do func(ctx context.Context) error) (samples, error) {
	var mu sync.Mutex
	var took samples
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for range n {
		group.Go(func() error {
			began := time.Now()
			err := do(ctx)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
			return err
		})
	}
	return took, group.Wait()
}
