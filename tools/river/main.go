// Command river runs the Go job queue River on a Postgres database, as the bench's peer: it has a module
// of its own, so that it moves no version of ours. It takes one request as JSON on its standard input
// for each line and answers each with one line: how many jobs were inserted and worked in how long, and,
// when a rate is asked for, how long each waited.
//
// The jobs do nothing: they take Input bytes and record Output bytes. Each is inserted by itself, as by
// requests that do not know of each other.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"golang.org/x/sync/errgroup"
)

// noop is a job that does nothing.
type noop struct {
	// Serial numbers the jobs of a request; Input is its payload.
	Serial int    `json:"serial"`
	Input  string `json:"input"`
}

// Kind implements river.JobArgs.
func (noop) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[noop]
	output  string
	started func(serial int)
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, j *river.Job[noop]) error {
	w.started(j.Args.Serial)
	return river.RecordOutput(ctx, w.output)
}

// request asks for jobs.
type request struct {
	// Jobs is how many, AtOnce how many are inserted at once, or Rate how many in a second, open loop.
	Jobs   int     `json:"jobs"`
	AtOnce int     `json:"at_once"`
	Rate   float64 `json:"rate"`
}

// answer is what became of them, in nanoseconds.
type answer struct {
	Took  time.Duration `json:"took"`
	Start []int64       `json:"start,omitempty"`
	Done  []int64       `json:"done,omitempty"`
}

func main() {
	url := flag.String("url", "", "the database")
	workers := flag.Int("workers", 64, "jobs worked at once")
	cooldown := flag.Duration("fetch-cooldown", river.FetchCooldownDefault, "River's FetchCooldown")
	input := flag.Int("input", 1<<10, "bytes of a job's payload")
	output := flag.Int("output", 2<<10, "bytes of a job's output")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *url, *workers, *cooldown, strings.Repeat("x", *input), strings.Repeat("y", *output)); err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, url string, workers int, cooldown time.Duration, input, output string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	b := &bench{input: input}
	all := river.NewWorkers()
	river.AddWorker(all, &worker{output: output, started: b.start})
	b.client, err = river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}, Workers: all,
		FetchCooldown: cooldown, FetchPollInterval: max(cooldown, river.FetchPollIntervalDefault),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	completed, cancel := b.client.SubscribeConfig(&river.SubscribeConfig{Kinds: []river.EventKind{river.EventKindJobCompleted}, ChanSize: 1 << 17})
	defer cancel()
	b.completed = completed
	if err := b.client.Start(ctx); err != nil {
		return err
	}
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		a, err := b.run(ctx, r)
		if err != nil {
			return err
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return b.client.Stop(context.WithoutCancel(ctx))
}

type bench struct {
	client    *river.Client[pgx.Tx]
	completed <-chan *river.Event
	input     string

	mu                    sync.Mutex
	submitted, took, done []time.Time
}

func (b *bench) start(serial int) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took[serial] = now
}

// run inserts the jobs while they are worked, and waits for the last.
func (b *bench) run(ctx context.Context, r request) (answer, error) {
	b.submitted, b.took, b.done = make([]time.Time, r.Jobs), make([]time.Time, r.Jobs), make([]time.Time, r.Jobs)
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.collect(ctx, r.Jobs) })
	group.Go(func() error { return b.insert(ctx, r) })
	if err := group.Wait(); err != nil {
		return answer{}, err
	}
	a := answer{Took: time.Since(began)}
	if r.Rate > 0 {
		for i := range r.Jobs {
			a.Start = append(a.Start, int64(b.took[i].Sub(b.submitted[i])))
			a.Done = append(a.Done, int64(b.done[i].Sub(b.submitted[i])))
		}
	}
	return a, nil
}

func (b *bench) insert(ctx context.Context, r request) error {
	one := func(serial int) error {
		b.submitted[serial] = time.Now()
		_, err := b.client.Insert(ctx, noop{Serial: serial, Input: b.input}, nil)
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if r.Rate == 0 {
		group.SetLimit(r.AtOnce)
		for i := range r.Jobs {
			group.Go(func() error { return one(i) })
		}
		return group.Wait()
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / r.Rate))
	defer tick.Stop()
	for i := range r.Jobs {
		group.Go(func() error { return one(i) })
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return group.Wait()
}

// collect waits until so many jobs are completed and durable.
func (b *bench) collect(ctx context.Context, jobs int) error {
	for range jobs {
		select {
		case event := <-b.completed:
			now := time.Now()
			var args noop
			if err := json.Unmarshal(event.Job.EncodedArgs, &args); err != nil {
				return err
			}
			b.done[args.Serial] = now
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
