package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/internal/fakeengine"
)

const (
	fairClients = 9
	// submitters is how many of the one client's jobs are submitted at once.
	submitters = 64
	// fairQueue is how many jobs the one client queues.
	fairQueue = 3000
	// fairJobs is how many jobs each of them sends, one a second.
	fairJobs = 20
	// fairDelay is how long a job takes the engine: 8 slots do 80 jobs a second, which the network can feed.
	fairDelay = 100 * time.Millisecond
)

// fairPart has nine clients send a job a second each, first through an empty system and then beside
// one that has queued as many as -jobs says.
func fairPart(ctx context.Context, o options) (_ []figure, err error) {
	b, err := startBed(ctx, o, &fakeengine.Engine{Delay: fairDelay}, 8, "--queue-timeout", "1h", "--total-timeout", "2h")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	clients := make([]*aitbc.Client, fairClients)
	for i := range clients {
		if clients[i], err = b.newClient(ctx, o); err != nil {
			return nil, err
		}
		defer clients[i].Close()
	}
	empty, err := b.each(ctx, clients)
	if err != nil {
		return nil, err
	}
	o.jobs = cmp.Or(o.jobs, fairQueue)
	if err := b.submitAll(ctx, o.jobs, submitters, "many"); err != nil {
		return nil, err
	}
	beside, err := b.each(ctx, clients)
	if err != nil {
		return nil, err
	}
	left, err := b.pending(ctx)
	if err != nil {
		return nil, err
	}
	if left == 0 {
		return nil, fmt.Errorf("the %d jobs were through before the nine's: ask for more with -jobs", o.jobs)
	}
	var figures []figure
	for _, q := range []float64{0.5, 0.99} {
		f := compare("fair", fmt.Sprintf("nine clients beside one with %d jobs: submit to answer", o.jobs), q, beside, empty, "the same in an empty system")
		figures = append(figures, f)
	}
	return figures, nil
}

// newClient makes an API key of an account of its own.
func (b *bed) newClient(ctx context.Context, o options) (*aitbc.Client, error) {
	create := exec.CommandContext(ctx, filepath.Join(o.bin, "aitbcd"), "coordinator", "keys", "create", "--name", "fair", "--fund", "10aitbc",
		"--state", b.state, "--ledger-url", "http://"+b.LedgerRPC, "--output", "json")
	output, err := create.Output()
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	var made struct{ Key string }
	if err := json.Unmarshal(output, &made); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return aitbc.New(b.CoordinatorGRPC, aitbc.WithAPIKey(made.Key))
}

// each has every client send its jobs and times them until their answers.
func (b *bed) each(ctx context.Context, clients []*aitbc.Client) (samples, error) {
	took := make(samples, len(clients)*fairJobs)
	group, ctx := errgroup.WithContext(ctx)
	for c, client := range clients {
		group.Go(func() error {
			return openLoop(ctx, fairJobs, 1, func(ctx context.Context, i int) error {
				began := time.Now()
				err := awaitAnswer(ctx, client, b.request("one"))
				took[c*fairJobs+i] = time.Since(began)
				return err
			})
		})
	}
	return took, group.Wait()
}

// awaitAnswer submits a job and waits for its answer, which the engine gives as one piece.
func awaitAnswer(ctx context.Context, client *aitbc.Client, request aitbc.SubmitRequest) error {
	for event, err := range client.Stream(ctx, request) {
		switch {
		case err != nil:
			return err
		case event.Kind == aitbc.EventText:
			return nil
		case event.Kind == aitbc.EventDone && event.Job.Err() != nil:
			return event.Job.Err()
		case event.Kind == aitbc.EventDone:
			return nil
		}
	}
	return errors.New("the stream ended without an answer")
}
