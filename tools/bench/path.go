package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ollama/ollama/api"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/engine"
)

const (
	warmUp     = 20
	benchModel = "tiny"
	benchAsk   = "What is machine learning?"
	jobTimeout = 30 * time.Second
	devKey     = "client_dev_key_1"
	startLimit = 2 * time.Minute
	// How often a job is read while it is followed: the resolution of all that comes after the
	// submission. Reading without a pause would take a core from what is measured.
	lookEvery = 2 * time.Millisecond
)

// stages are the moments of one job, counted from the call to submit.
type stages struct{ acknowledged, queued, running, readable, completed samples }

// pathPart sends jobs one at a time through an idle network and asks the engine directly in
// between.
func pathPart(ctx context.Context, o options) (_ []figure, err error) {
	served, err := engine.Start(ctx, engine.Options{Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, served.Stop()) }()
	client, stop, err := startNetwork(ctx, o, served.URL())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	var ours stages
	var direct samples
	for run := range warmUp + o.runs {
		if run == warmUp {
			ours, direct = stages{}, nil
		}
		if err := ours.job(ctx, client); err != nil {
			return nil, fmt.Errorf("job %d: %w", run, err)
		}
		elapsed, err := ask(ctx, served.Client())
		if err != nil {
			return nil, fmt.Errorf("direct call %d: %w", run, err)
		}
		direct = append(direct, elapsed)
	}
	return pathFigures(ours, direct), nil
}

func pathFigures(ours stages, direct samples) []figure {
	const part, peer = "path", "Ollama called directly"
	var figures []figure
	for _, q := range []float64{0.5, 0.99} {
		figures = append(figures,
			compare(part, "submit acknowledged", q, ours.acknowledged, nil, ""),
			compare(part, "submit to escrowed", q, ours.queued, nil, ""),
			compare(part, "submit to running", q, ours.running, nil, ""),
			compare(part, "submit to result readable", q, ours.readable, direct, peer),
			compare(part, "submit to completed", q, ours.completed, direct, peer),
		)
	}
	added := make(samples, len(direct))
	for i := range direct {
		added[i] = ours.completed[i] - direct[i]
	}
	for _, q := range []float64{0.5, 0.99} {
		figures = append(figures, compare(part, "added by the whole path", q, added, nil, ""))
	}
	return figures
}

// job sends one job and notes when each stage was first seen by reading the job again and again.
func (s *stages) job(ctx context.Context, client *aitbc.Client) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	begin := time.Now()
	submitted, err := client.Submit(ctx, aitbc.SubmitRequest{
		Prompt: benchAsk, Model: benchModel, Options: aitbc.Options{Temperature: new(float64)},
	})
	if err != nil {
		return err
	}
	acknowledged := time.Since(begin)
	var queued, running, readable time.Duration
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		job, err := client.Get(ctx, submitted.JobID)
		if err != nil {
			return err
		}
		elapsed := time.Since(begin)
		first(&queued, elapsed, job.Phase != "escrowing")
		first(&running, elapsed, !job.StartedTime.IsZero())
		first(&readable, elapsed, job.Result != "")
		switch job.Status {
		case aitbc.StatusCompleted:
			s.acknowledged = append(s.acknowledged, acknowledged)
			s.queued = append(s.queued, queued)
			s.running = append(s.running, running)
			s.readable = append(s.readable, readable)
			s.completed = append(s.completed, elapsed)
			return nil
		case aitbc.StatusPending, aitbc.StatusRunning:
		case aitbc.StatusFailed, aitbc.StatusCancelled:
			return fmt.Errorf("job %s %s: %w", job.ID, job.Status, job.Failure)
		}
		<-look.C
	}
}

func first(at *time.Duration, elapsed time.Duration, now bool) {
	if *at == 0 && now {
		*at = elapsed
	}
}

// ask puts the same question to the engine itself.
func ask(ctx context.Context, client *api.Client) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	begin := time.Now()
	err := client.Generate(ctx, &api.GenerateRequest{
		Model: benchModel, Prompt: benchAsk, Options: map[string]any{"temperature": 0, "num_predict": 500},
	}, func(api.GenerateResponse) error { return nil })
	return time.Since(begin), err
}
