package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/postgres"
)

const (
	// queueJobs is how many jobs go through each queue in all, in queueRounds rounds.
	queueJobs   = 20_000
	queueRounds = 3
	// queueRate is how many jobs a second come while each one's wait is measured, for queuePaced in all; half of
	// what a queue can do when that is less.
	queueRate  = 200
	queuePaced = 10 * time.Second
	// queueCooldown is River's best setting.
	queueCooldown = time.Millisecond
)

// queue takes jobs that do nothing and has them worked at once.
type queue interface {
	// through submits jobs, so many at once, and waits until all are done and durable.
	through(ctx context.Context, jobs, atOnce int) (took, cpu time.Duration, err error)
	// paced submits jobs at a rate and gives how long each waited for its start and for its durable end.
	paced(ctx context.Context, jobs int, rate float64) (start, done samples, err error)
	stop() error
}

// queuePart puts jobs through ours, with payments and without, on both stores, and through River.
func queuePart(ctx context.Context, o options) (_ []figure, err error) {
	server, err := postgres.Start(ctx, postgres.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	names := []string{"River at its best", "bare on SQLite", "bare on Postgres", "full on SQLite", "full on Postgres", "River by default"}
	queues := make(map[string]queue)
	defer func() {
		for _, q := range queues {
			err = errors.Join(err, q.stop())
		}
	}()
	for i, name := range names {
		url, err := server.CreateDatabase(ctx, "queue"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		if queues[name], err = startQueue(ctx, o, name, server, url); err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
	}
	m := &queueMeasures{took: make(map[string]samples), cpu: make(map[string]samples), start: make(map[string]samples), done: make(map[string]samples)}
	for range queueRounds {
		for _, name := range names {
			if err := m.measure(ctx, name, queues[name], cmp.Or(o.jobs, queueJobs)/queueRounds); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return m.figures(names), nil
}

func startQueue(ctx context.Context, o options, name string, server *postgres.Server, url string) (queue, error) {
	switch name {
	case "River at its best":
		return startRiver(ctx, o, server, url, queueCooldown)
	case "River by default":
		return startRiver(ctx, o, server, url, 0)
	case "bare on SQLite":
		return startOurs(ctx, o, nil, "", false)
	case "bare on Postgres":
		return startOurs(ctx, o, server, url, false)
	case "full on SQLite":
		return startOurs(ctx, o, nil, "", true)
	default:
		return startOurs(ctx, o, server, url, true)
	}
}

// queueMeasures are by queue: the time and CPU of a job, by round, and the waits of paced jobs.
type queueMeasures struct{ took, cpu, start, done map[string]samples }

func (m *queueMeasures) measure(ctx context.Context, name string, q queue, jobs int) error {
	took, cpu, err := q.through(ctx, jobs, submitters)
	if err != nil {
		return err
	}
	m.took[name] = append(m.took[name], took/time.Duration(jobs))
	m.cpu[name] = append(m.cpu[name], cpu/time.Duration(jobs))
	rate := min(queueRate, float64(jobs)/took.Seconds()/2)
	start, done, err := q.paced(ctx, int(rate*queuePaced.Seconds()/queueRounds)+1, rate)
	m.start[name], m.done[name] = append(m.start[name], start...), append(m.done[name], done...)
	return err
}

func (m *queueMeasures) figures(names []string) []figure {
	peer := names[0]
	var figures []figure
	for _, name := range names {
		rate := func(s samples, q float64) float64 { return 1000 / s.quantile(q) }
		f := figure{
			Part: "queue", Name: name + ": jobs submitted and done", Unit: "jobs/s", Ours: rate(m.took[name], 0.5), Peer: rate(m.took[peer], 0.5), PeerName: peer,
			Runs: len(m.took[name]), Min: rate(m.took[name], 1), Max: rate(m.took[name], 0.001),
		}
		f.Ratio = ratio(f.Ours, f.Peer)
		c := figure{
			Part: "queue", Name: name + ": CPU for a job", Unit: "us", Ours: 1000 * m.cpu[name].quantile(0.5), Peer: 1000 * m.cpu[peer].quantile(0.5), PeerName: peer,
			Runs: len(m.cpu[name]), Min: 1000 * m.cpu[name].quantile(0.001), Max: 1000 * m.cpu[name].quantile(1),
		}
		c.Ratio = ratio(c.Ours, c.Peer)
		figures = append(figures, f, c)
		for _, q := range []float64{0.5, 0.99} {
			figures = append(figures,
				compare("queue", name+": submit to start", q, m.start[name], m.start[peer], peer),
				compare("queue", name+": submit to done", q, m.done[name], m.done[peer], peer))
		}
	}
	return figures
}

// ours is our coordinator with a worker. Who submits and the worker are in this process, whose CPU time
// is not counted.
type ours struct {
	*fleet
	worker *worker
	ended  <-chan error
	leave  context.CancelFunc
	paid   bool
	pids   []int

	mu           sync.Mutex
	leased, done map[aitbc.JobID]time.Time
	count        int
	wanted       int
	reached      chan struct{}
	// room has a token for each job under way; nil: any number may be.
	room chan struct{}
}

func startOurs(ctx context.Context, o options, server *postgres.Server, url string, paid bool, args ...string) (_ queue, err error) {
	q := &ours{paid: paid}
	o.store = url
	if q.fleet, err = startFleet(ctx, o, paid, args...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.fleet.stop())
		}
	}()
	if q.pids = []int{q.PID()}; server != nil {
		q.pids = append(q.pids, server.PID())
	}
	key, err := q.key()
	if err != nil {
		return nil, err
	}
	working, leave := context.WithCancel(ctx)
	q.leave = leave
	q.worker = &worker{slots: int32(o.slots), answer: text(answerSize), leased: q.isLeased, accepted: q.isAccepted}
	q.ended, err = startWorker(working, q.CoordinatorGRPC, key, q.worker)
	return q, err
}

func (q *ours) stop() error {
	q.leave()
	err := q.worker.miner.Close()
	for range q.ended { // it ends for we closed it
	}
	return errors.Join(err, q.fleet.stop())
}

func (q *ours) isLeased(id aitbc.JobID, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leased[id] = at
}

func (q *ours) isAccepted(id aitbc.JobID) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done[id] = now
	if q.room != nil {
		<-q.room
	}
	if q.count++; q.count == q.wanted {
		close(q.reached)
	}
}

// expect begins to count accepted results.
func (q *ours) expect(jobs int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leased, q.done = make(map[aitbc.JobID]time.Time), make(map[aitbc.JobID]time.Time)
	q.count, q.wanted, q.reached = 0, jobs, make(chan struct{})
}

// await waits until the expected results are accepted and, if they are paid, all receipts committed.
func (q *ours) await(ctx context.Context) error {
	select {
	case <-q.reached:
	case err := <-q.ended:
		return fmt.Errorf("the worker ended: %w", err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for q.paid {
		running, err := metric(ctx, q.CoordinatorMetrics, `aitbc_jobs{status="running"}`)
		if err != nil {
			return err
		}
		pending, err := metric(ctx, q.CoordinatorMetrics, `aitbc_jobs{status="pending"}`)
		if err != nil || running+pending == 0 {
			return err
		}
		<-tick.C
	}
	return nil
}

func (q *ours) through(ctx context.Context, jobs, limit int) (took, cpu time.Duration, err error) {
	q.expect(jobs)
	before, err := cpuTime(q.pids...)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	err = atOnce(ctx, jobs, limit, func(ctx context.Context) error {
		if q.room != nil {
			select {
			case q.room <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		_, err := q.submit(ctx)
		return err
	})
	if err == nil {
		err = q.await(ctx)
	}
	if err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	after, err := cpuTime(q.pids...)
	return took, after - before, err
}

func (q *ours) paced(ctx context.Context, jobs int, rate float64) (start, done samples, err error) {
	q.expect(jobs)
	ids, submitted := make([]aitbc.JobID, jobs), make([]time.Time, jobs)
	err = openLoop(ctx, jobs, rate, func(ctx context.Context, i int) (err error) {
		submitted[i] = time.Now()
		ids[i], err = q.submit(ctx)
		return err
	})
	if err == nil {
		err = q.await(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, id := range ids {
		start, done = append(start, q.leased[id].Sub(submitted[i])), append(done, q.done[id].Sub(submitted[i]))
	}
	return start, done, nil
}

// riverQueue is tools/river, a process of its own.
type riverQueue struct {
	command *exec.Cmd
	server  *postgres.Server
	ask     *json.Encoder
	answers *bufio.Reader
	end     func() error
}

func startRiver(ctx context.Context, o options, server *postgres.Server, url string, cooldown time.Duration) (queue, error) {
	folder, err := os.MkdirTemp("", "aitbc-bench-")
	if err != nil {
		return nil, err
	}
	program := filepath.Join(folder, "river")
	build := exec.CommandContext(ctx, "go", "build", "-C", "tools/river", "-o", program, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("build River: %w", err), os.RemoveAll(folder))
	}
	args := []string{"-url", url, "-workers", strconv.Itoa(o.slots), "-input", strconv.Itoa(promptSize), "-output", strconv.Itoa(answerSize)}
	if cooldown > 0 {
		args = append(args, "-fetch-cooldown", cooldown.String())
	}
	r := &riverQueue{command: exec.CommandContext(ctx, program, args...), server: server}
	r.command.Stderr = os.Stderr
	in, err := r.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := r.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.ask, r.answers = json.NewEncoder(in), bufio.NewReader(out)
	r.end = func() error { return errors.Join(in.Close(), r.command.Wait(), os.RemoveAll(folder)) }
	return r, r.command.Start()
}

func (r *riverQueue) stop() error { return r.end() }

// riverAnswer is what the process says.
type riverAnswer struct {
	Took        time.Duration
	Start, Done samples
}

func (r *riverQueue) call(request map[string]any) (a riverAnswer, err error) {
	if err := r.ask.Encode(request); err != nil {
		return a, err
	}
	line, err := r.answers.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("the process ended: %w", err)
	}
	return a, json.Unmarshal(line, &a)
}

func (r *riverQueue) through(_ context.Context, jobs, limit int) (took, cpu time.Duration, err error) {
	before, err := cpuTime(r.server.PID(), r.command.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	a, err := r.call(map[string]any{"jobs": jobs, "at_once": limit})
	if err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(r.server.PID(), r.command.Process.Pid)
	return a.Took, after - before, err
}

func (r *riverQueue) paced(_ context.Context, jobs int, rate float64) (start, done samples, err error) {
	a, err := r.call(map[string]any{"jobs": jobs, "rate": rate})
	return a.Start, a.Done, err
}
