package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

const (
	// growthDepth is the deepest queue.
	growthDepth = 100_000
	// growthRounds is how often growthJobs are served at each depth; in between the queue is filled up.
	growthRounds = 8
	growthJobs   = 500
	// growthSlots is how many the worker has at once.
	growthSlots = 64
	// promptSize and answerSize are what goes in and comes out, in bytes.
	promptSize = 1 << 10
	answerSize = 2 << 10
)

// depths are the queues before which jobs are served, up to what -jobs says.
func depths(most int) []int {
	return slices.DeleteFunc([]int{1_000, 100_000, 1_000_000}, func(n int) bool { return n > most && n > 1_000 })
}

// growthPart serves jobs without an engine and without payments from ever deeper queues of one client, and
// or, with -done, from the smallest queue before and after so many jobs are done. Its peer is itself at the smallest
// depth.
func growthPart(ctx context.Context, o options) (_ []figure, err error) {
	f, err := startFleet(ctx, o, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	var figures []figure
	var first *served
	all := depths(cmp.Or(o.jobs, growthDepth))
	if o.done > 0 {
		all = []int{all[0], all[0]}
	}
	for i, depth := range all {
		where := fmt.Sprintf("%d waiting", depth)
		if i > 0 && o.done > 0 {
			where = fmt.Sprintf("%d waiting and %d done", depth, o.done)
			if err := f.pass(ctx, o.done); err != nil {
				return nil, fmt.Errorf("serve %d jobs: %w", o.done, err)
			}
		}
		now, err := f.measure(ctx, depth)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = now
		}
		restart, err := f.restart(ctx, where)
		if err != nil {
			return nil, fmt.Errorf("restart with %s: %w", where, err)
		}
		figures = slices.Concat(figures, now.figures(where, first), restart)
	}
	return figures, nil
}

// measure serves jobs from a queue that is filled up again in between.
func (f *fleet) measure(ctx context.Context, depth int) (*served, error) {
	all := &served{}
	for range growthRounds {
		if err := f.fill(ctx, depth); err != nil {
			return nil, fmt.Errorf("queue %d jobs: %w", depth, err)
		}
		round, err := f.serve(ctx, growthJobs)
		if err != nil {
			return nil, fmt.Errorf("serve %d of %d jobs: %w", growthJobs, depth, err)
		}
		all.add(round)
	}
	return all, nil
}

// pass submits jobs and has them served meanwhile.
func (f *fleet) pass(ctx context.Context, jobs int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.fill(ctx, f.waits+jobs) })
	group.Go(func() error {
		_, err := f.serve(ctx, jobs)
		return err
	})
	return group.Wait()
}

// fleet is a network without an engine, and without payments unless it is paid.
type fleet struct {
	*network.Network
	client *aitbc.Client
	state  string
	waits  int
}

func startFleet(ctx context.Context, o options, paid bool, args ...string) (_ *fleet, err error) {
	f := &fleet{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop())
		}
	}()
	if f.state, err = os.MkdirTemp("", "aitbc-bench-"); err != nil {
		return nil, err
	}
	args = append([]string{
		"--miner=false", "--rate-limit", "0", "--max-jobs", "0", "--queue-timeout", "1h", "--total-timeout", "2h",
		"--log-dir", filepath.Join(f.state, "log"), "--log-level", "warn",
	}, args...)
	if !paid {
		args = append(args, "--ledger", "none")
	}
	if o.store != "" {
		args = append(args, "--store", o.store)
	}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	f.Network, err = network.Start(starting, network.Options{Program: filepath.Join(o.bin, "aitbcd"), State: f.state, EngineURL: "http://127.0.0.1:1", Args: args})
	if err != nil {
		return nil, err
	}
	f.client, err = aitbc.New(f.CoordinatorGRPC, aitbc.WithAPIKey(devKey))
	return f, err
}

func (f *fleet) stop() error {
	var faults []error
	if f.client != nil {
		faults = append(faults, f.client.Close())
	}
	if f.Network != nil {
		faults = append(faults, f.Stop())
	}
	return errors.Join(append(faults, os.RemoveAll(f.state))...)
}

// fill submits until so many jobs wait.
func (f *fleet) fill(ctx context.Context, depth int) error {
	n := depth - f.waits
	f.waits = depth
	return atOnce(ctx, n, submitters, func(ctx context.Context) error {
		_, err := f.submit(ctx)
		return err
	})
}

// submit submits a job whose price limit is so small that the client's money lasts.
func (f *fleet) submit(ctx context.Context) (aitbc.JobID, error) {
	submitted, err := f.client.Submit(ctx, aitbc.SubmitRequest{Prompt: text(promptSize), Model: workerModel, MaxPrice: aitbc.UnitsPerCoin / 50})
	if err != nil {
		return aitbc.JobID{}, err
	}
	return submitted.JobID, nil
}

// key is the key of the fleet's one miner.
func (f *fleet) key() (ed25519.PrivateKey, error) {
	return aitbc.LoadKey(filepath.Join(f.state, "keys", "miner.key"))
}

// served is what serving jobs has cost the coordinator.
type served struct {
	jobs    int
	took    time.Duration
	cpu     time.Duration
	flushes int
	// rounds are the times for a job, by round.
	rounds samples
}

func (s *served) add(round *served) {
	s.jobs, s.took, s.cpu, s.flushes = s.jobs+round.jobs, s.took+round.took, s.cpu+round.cpu, s.flushes+round.flushes
	s.rounds = append(s.rounds, round.took/time.Duration(round.jobs))
}

// serve has a worker answer so many jobs.
func (f *fleet) serve(ctx context.Context, jobs int) (*served, error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	s := &served{jobs: jobs}
	flushesBefore, err := metric(ctx, f.CoordinatorMetrics, "aitbc_store_flush_seconds_count")
	if err != nil {
		return nil, err
	}
	cpuBefore, err := cpuTime(f.PID())
	if err != nil {
		return nil, err
	}
	working, leave := context.WithCancel(ctx)
	defer leave()
	began := time.Now()
	done, accepted := make(chan struct{}), 0
	w := &worker{slots: growthSlots, answer: text(answerSize)}
	w.accepted = func(aitbc.JobID) {
		if accepted++; accepted == jobs {
			close(done)
		}
	}
	ended, err := startWorker(working, f.CoordinatorGRPC, key, w)
	if err != nil {
		return nil, err
	}
	select {
	case <-done:
	case err := <-ended:
		return nil, fmt.Errorf("the worker ended: %w", err)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.took = time.Since(began)
	cpuAfter, err := cpuTime(f.PID())
	if err != nil {
		return nil, err
	}
	flushesAfter, err := metric(ctx, f.CoordinatorMetrics, "aitbc_store_flush_seconds_count")
	if err != nil {
		return nil, err
	}
	s.cpu, s.flushes = cpuAfter-cpuBefore, flushesAfter-flushesBefore
	leave()
	if err := w.miner.Close(); err != nil {
		return nil, err
	}
	for range ended { // it ends for we closed it
	}
	f.waits, err = metric(ctx, f.CoordinatorMetrics, `aitbc_jobs{status="pending"}`)
	return s, err
}

func (s *served) figures(where string, first *served) []figure {
	one := func(name, unit string, of func(*served) float64) figure {
		f := figure{
			Part: "growth", Name: name + " at " + where, Unit: unit, Ours: of(s), Peer: of(first), PeerName: "the same at 1,000",
			Runs: s.jobs, Min: of(s), Max: of(s),
		}
		f.Ratio = ratio(f.Ours, f.Peer)
		return f
	}
	return []figure{
		one("coordinator's CPU for a job served", "us", func(s *served) float64 { return float64(s.cpu.Microseconds()) / float64(s.jobs) }),
		one("flushes for a job served", "1", func(s *served) float64 { return float64(s.flushes) / float64(s.jobs) }),
		one("time for a job served, median round", "us", func(s *served) float64 { return 1000 * s.rounds.quantile(0.5) }),
	}
}

// restart kills the process, starts it again and times it until a worker has its first lease.
func (f *fleet) restart(ctx context.Context, where string) ([]figure, error) {
	f.Kill()
	began := time.Now()
	if err := f.Restart(ctx); err != nil {
		return nil, err
	}
	ready := time.Since(began)
	first, err := f.serve(ctx, 1)
	if err != nil {
		return nil, err
	}
	_, peak, err := memory(f.PID())
	if err != nil {
		return nil, err
	}
	answered := time.Since(began)
	one := func(name, unit string, value float64) figure {
		return figure{Part: "growth", Name: name + " with " + where, Unit: unit, Ours: value, Runs: first.jobs, Min: value, Max: value}
	}
	return []figure{
		one("restart until ready", "ms", milliseconds(ready)),
		one("restart until the first answer is durable", "ms", milliseconds(answered)),
		one("memory at most after the restart", "MB", float64(peak)/1e6),
	}, nil
}
