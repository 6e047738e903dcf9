package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

const (
	// overloadJobs is with how many jobs the best rate is found, overloadRounds how often both are done.
	overloadJobs   = 6000
	overloadRounds = 3
	// overloadFactor is how many times the best rate is offered, overloadFor for how long.
	overloadFactor = 3
	overloadFor    = 4 * time.Second
	// overloadQueue is how many jobs the coordinator lets wait: it is full all the time.
	overloadQueue = 1000
	// overloadWaits is how many calls may be on their way at once: a generator that waits for nothing runs
	// out of memory before the coordinator does.
	overloadWaits = 20_000
)

// overloadPart finds the best rate of jobs without payments and without an engine, then offers three times
// that and counts what is still done. The generator shares the machine: both are given for the time of the
// cores that it has left.
func overloadPart(ctx context.Context, o options) (_ []figure, err error) {
	q, err := startOurs(ctx, o, nil, "", false, "--max-queue", strconv.Itoa(overloadQueue))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.stop()) }()
	our := q.(*ours)
	// Without the SDK's own retries, which would be more load.
	if our.client, err = aitbc.New(our.CoordinatorGRPC, aitbc.WithAPIKey(devKey), aitbc.WithRetry(aitbc.RetryPolicy{})); err != nil {
		return nil, err
	}
	var best, over []goodput
	for range overloadRounds {
		rate, usual, err := our.best(ctx, cmp.Or(o.jobs, overloadJobs))
		if err != nil {
			return nil, err
		}
		most, err := our.overload(ctx, overloadFactor*rate)
		if err != nil {
			return nil, err
		}
		best, over = append(best, usual), append(over, most)
	}
	of := func(list []goodput, value func(goodput) float64) (values []float64) {
		for _, g := range list {
			values = append(values, value(g))
		}
		return values
	}
	left := func(g goodput) float64 { return g.done / g.left.Seconds() }
	own := func(g goodput) float64 { return g.done / g.cpu.Seconds() }
	return []figure{
		ranged("jobs done in a second of a core that was left, at three times the best rate", "jobs/s", of(over, left), of(best, left), "the best rate"),
		ranged("jobs done in a second of the coordinator's CPU, at three times the best rate", "jobs/s", of(over, own), of(best, own), "the best rate"),
		ranged("share of the calls that were refused", "%", of(over, func(g goodput) float64 { return 100 * g.refused }), nil, ""),
	}, nil
}

// goodput is how many jobs were done, the CPU time that the coordinator took for them, the time of cores
// that the generator left, and the share of calls that were refused.
type goodput struct {
	done      float64
	cpu, left time.Duration
	refused   float64
}

// ranged is a figure of a few values, beside those of a peer.
func ranged(name, unit string, ours, peer []float64, peerName string) figure {
	lowest, middle, highest := spread(ours)
	f := figure{Part: "overload", Name: name, Unit: unit, Ours: middle, Runs: len(ours), Min: lowest, Max: highest}
	if len(peer) > 0 {
		_, f.Peer, _ = spread(peer)
		f.PeerName, f.Ratio = peerName, ratio(f.Ours, f.Peer)
	}
	return f
}

// best gives the rate of jobs submitted 64 at once, as many as the queue takes.
func (q *ours) best(ctx context.Context, jobs int) (rate float64, g goodput, err error) {
	q.setRoom(make(chan struct{}, overloadQueue/2))
	mine := ownCPU()
	took, cpu, err := q.through(ctx, jobs, submitters)
	q.setRoom(nil)
	return float64(jobs) / took.Seconds(), goodput{done: float64(jobs), cpu: cpu, left: coresLeft(took, ownCPU()-mine)}, err
}

func (q *ours) setRoom(room chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.room = room
}

// overload offers jobs at a rate, whatever becomes of them.
func (q *ours) overload(ctx context.Context, rate float64) (g goodput, err error) {
	q.expect(0) // count only
	before, err := cpuTime(q.pids...)
	if err != nil {
		return g, err
	}
	var refused, failed atomic.Int64
	places := make(chan struct{}, overloadWaits)
	calls := int(rate * overloadFor.Seconds())
	mine, began := ownCPU(), time.Now()
	offer := func() {
		defer func() { <-places }()
		_, err := q.submit(ctx)
		var problem *aitbc.Error
		switch {
		case errors.As(err, &problem) && problem.Reason == aitbc.ReasonOverloaded:
			refused.Add(1)
		case err != nil:
			failed.Add(1)
		}
	}
	for i := range calls {
		if wait := time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))); wait > 0 {
			time.Sleep(wait) //nolint:forbidigo // the pace of an open loop
		}
		places <- struct{}{}
		go offer()
	}
	took := time.Since(began)
	g.left, g.done = coresLeft(took, ownCPU()-mine), float64(q.counted())
	after, err := cpuTime(q.pids...)
	if err != nil {
		return g, err
	}
	g.cpu = after - before
	for range overloadWaits { // until all calls have returned
		places <- struct{}{}
	}
	if failed.Load() > 0 {
		return g, fmt.Errorf("%d of %d calls failed otherwise than by being refused", failed.Load(), calls)
	}
	g.refused = float64(refused.Load()) / float64(calls)
	return g, q.drain(ctx)
}

// counted gives how many results were accepted since expect.
func (q *ours) counted() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// allAccepted reports whether the worker has heard of all that it answered since expect.
func (q *ours) allAccepted() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.done) == len(q.leased)
}

// drain waits until nothing is under way, nor on its way to the worker: it would be counted with what comes.
func (q *ours) drain(ctx context.Context) error {
	for {
		pending, err := metric(ctx, q.CoordinatorMetrics, `aitbc_jobs{status="pending"}`)
		if err != nil || pending == 0 && q.allAccepted() {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// coresLeft is the time of the machine's cores but for what this process has used.
func coresLeft(took, used time.Duration) time.Duration {
	return took*time.Duration(runtime.NumCPU()) - used
}

// ownCPU is the CPU time of this process so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // never on the systems that this runs on
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
