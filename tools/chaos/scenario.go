package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aitbc/aitbc/tools/chaos/checker"
	"github.com/aitbc/aitbc/tools/postgres"
)

// result is what a scenario did and found.
type result struct {
	name     string
	seed     uint64
	store    string
	kills    map[string]int
	jobs     int
	report   checker.Report
	unpassed []string
	took     time.Duration
	// calm: nothing was broken.
	calm bool
	// late are jobs and processes of a replica that did not move or come back in time, moved the longest
	// time that they took.
	late  []string
	moved time.Duration
}

// scenario breaks a network while jobs run through it.
type scenario func(ctx context.Context, w *world, l *load, r *result) error

// perform runs a scenario on a new network, lets it come to rest and checks it.
func (o options) perform(ctx context.Context, name, bug string, patience time.Duration, play scenario) (r result, err error) {
	state, cleanUp, err := o.folder(name)
	if err != nil {
		return r, err
	}
	defer cleanUp(&r, &err)
	began := time.Now()
	r = result{name: name, seed: o.seed, kills: map[string]int{}, store: "sqlite"}
	if o.postgres {
		r.store = "postgres"
	}
	if o.replicas {
		r.store = "postgres+replicas"
	}
	store, closeStore, err := o.openStore(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	w, err := newWorld(ctx, setting{program: o.program, state: state, bug: bug, store: store, replicas: o.replicas})
	if err != nil {
		return r, err
	}
	defer w.close()
	input := checker.Input{RPC: "http://" + w.rpc, Key: w.key}
	for _, rest := range w.rests {
		input.REST = append(input.REST, "http://"+rest)
	}
	if input.Before, err = checker.Take(ctx, input); err != nil {
		return r, err
	}
	l := newLoad(w, o.seed)
	if err := play(ctx, w, l, &r); err != nil {
		return r, err
	}
	if err := w.settle(ctx, patience); err != nil {
		return r, err
	}
	if err := awaitRefunds(ctx, input); err != nil {
		return r, err
	}
	input.Claims, input.Calm = l.told(), r.calm
	r.jobs = len(input.Claims)
	r.report, err = checker.Check(ctx, input)
	r.report.Findings = append(r.report.Findings, r.late...)
	r.took = time.Since(began)
	return r, err
}

// openStore starts a database for the coordinator, if one is asked for.
func (o options) openStore(ctx context.Context) (url string, stop func() error, err error) {
	if !o.postgres && !o.replicas {
		return "", func() error { return nil }, nil
	}
	server, err := postgres.Start(ctx, postgres.Options{})
	if err != nil {
		return "", nil, err
	}
	if url, err = server.CreateDatabase(ctx, "chaos"); err != nil {
		return "", nil, errors.Join(err, server.Stop())
	}
	return url, server.Stop, nil
}

// refundPatience is how long refunds may take to become final: the chain's window, and some blocks.
const refundPatience = 10 * time.Second

func awaitRefunds(ctx context.Context, in checker.Input) error {
	limit := time.Now().Add(refundPatience)
	for {
		rest, err := checker.AtRest(ctx, in)
		if err != nil || rest || time.Now().After(limit) {
			return err
		}
		if err := pause(ctx, 5*look); err != nil {
			return err
		}
	}
}

const (
	// pointPatience is how long a process may take to pass a point under load.
	pointPatience = 20 * time.Second
	// pointRounds is how often a point is tried that was not passed: after many failures in a row a
	// miner gets no jobs for a while.
	pointRounds = 3
	batch       = 24
)

// crashAtPoints kills processes at their named points, one after the other, with jobs under way.
func crashAtPoints(chosen []string) scenario {
	return func(ctx context.Context, w *world, l *load, r *result) error {
		for round := 0; round < pointRounds && len(chosen) > 0; round++ {
			r.unpassed = nil
			for _, point := range chosen {
				passed, err := w.crashAt(ctx, l, point)
				if err != nil {
					return fmt.Errorf("at %s: %w", point, err)
				}
				if passed {
					r.kills[ownerOf(point)]++
				} else {
					r.unpassed = append(r.unpassed, point)
				}
			}
			chosen = r.unpassed
		}
		return nil
	}
}

// of gives the processes of a kind; there may be one only, and the other nil.
func (w *world) of(kind string) (*process, *process) {
	return w.processes[kind], w.processes[kind+second]
}

// arm has whichever process of a kind passes a point first die there. Disarm waits for those that are just
// passing, and says whether there are none.
func (w *world) arm(point string) (disarm func() (none bool), err error) {
	one, other := w.of(ownerOf(point))
	armed := []*process{one}
	if other != nil {
		armed = append(armed, other)
	}
	for _, p := range armed {
		if err := p.arm(point); err != nil {
			return nil, err
		}
	}
	return func() bool {
		none := true
		for _, p := range armed {
			if !p.disarm() {
				<-p.exited
				none = false
			}
		}
		return none
	}, nil
}

// died gives what closes when either of a kind ends.
func (w *world) died(kind string) (one, other <-chan struct{}) {
	p, q := w.of(kind)
	if q == nil {
		return p.exited, nil
	}
	return p.exited, q.exited
}

// crashAt has a process die at the point, under load, and starts it again.
func (w *world) crashAt(ctx context.Context, l *load, point string) (passed bool, err error) {
	disarm, err := w.arm(point)
	if err != nil {
		return false, err
	}
	loading, loaded := make(chan error, 1), false
	go func() { loading <- l.many(ctx, batch, batch/2) }()
	if strings.HasPrefix(point, "coordinator/lose/") || strings.HasPrefix(point, "coordinator/find/") {
		if err := w.flicker(ctx); err != nil { // the stream must drop for that
			return false, err
		}
	}
	one, other := w.died(ownerOf(point))
	timer := time.NewTimer(pointPatience)
	defer timer.Stop()
	for !passed {
		select {
		case <-one:
			passed = !disarm()
		case <-other:
			passed = !disarm()
		case err := <-loading:
			if err != nil {
				return false, err
			}
			loaded, loading = true, nil
			timer.Reset(pointPatience / 4)
		case <-timer.C:
			if passed = !disarm(); !passed {
				return false, await(loaded, loading)
			}
		}
	}
	return true, errors.Join(w.revive(ctx, ownerOf(point)), await(loaded, loading))
}

func await(loaded bool, loading <-chan error) error {
	if loaded {
		return nil
	}
	return <-loading
}

// revive starts those of a kind again that have ended.
func (w *world) revive(ctx context.Context, kind string) error {
	one, other := w.of(kind)
	for _, p := range []*process{one, other} {
		if p == nil {
			continue
		}
		select {
		case <-p.exited:
			if err := w.start(ctx, p.name); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// flicker cuts the miners' lines for a moment.
func (w *world) flicker(ctx context.Context) error {
	for range 4 {
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
		for name, line := range w.cuts {
			if strings.HasPrefix(name, minerName) {
				line.sever()
				defer line.mend()
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		for _, line := range w.cuts {
			line.mend()
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// anything kills, pauses and cuts at random while jobs are submitted, until so many are.
func anything(jobs int, rate float64, pauseFor time.Duration) scenario {
	return func(ctx context.Context, w *world, l *load, r *result) error {
		random := rand.New(rand.NewPCG(r.seed, 1))
		done := make(chan error, 1)
		go func() { done <- l.paced(ctx, jobs, rate) }()
		for {
			select {
			case err := <-done:
				return err
			case <-time.After(time.Duration(200+random.IntN(1800)) * time.Millisecond):
			}
			if err := w.hurt(ctx, random, pauseFor, l, r); err != nil {
				return err
			}
		}
	}
}

// hurt does one random harm and makes it good again.
func (w *world) hurt(ctx context.Context, random *rand.Rand, pauseFor time.Duration, l *load, r *result) error {
	p := w.processes[w.names[random.IntN(len(w.names))]]
	replica := w.replicas && strings.HasPrefix(p.name, coordinatorName)
	switch dice := random.IntN(60); {
	case replica && dice < 15:
		r.kills[p.name]++
		return w.abandon(ctx, p, l, r)
	case replica && dice < 25:
		r.kills["pause"]++
		return w.suspend(ctx, p, l, r)
	case dice == 0 && pauseFor > 0: // frozen, beyond what others wait for it
		r.kills["pause"]++
		if err := p.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		paused := pause(ctx, pauseFor)
		if err := p.signal(syscall.SIGCONT); err != nil {
			return err
		}
		return paused
	case dice < 10 || dice < 35 && w.replicas:
		r.kills["cut"]++
		name := w.lines[random.IntN(len(w.lines))]
		w.cuts[name].sever()
		defer w.cuts[name].mend()
		longest := 3000
		if strings.HasPrefix(name, "store") { // beyond what replicas wait for one another
			longest = 9000
		}
		return pause(ctx, time.Duration(random.IntN(longest))*time.Millisecond)
	default:
		r.kills[p.name]++
		p.kill()
		if err := pause(ctx, time.Duration(random.IntN(300))*time.Millisecond); err != nil {
			return err
		}
		return w.start(ctx, p.name)
	}
}

// calm only submits: what a planted fault does shows without any kill.
func calm(jobs int) scenario {
	return func(ctx context.Context, _ *world, l *load, r *result) error {
		r.calm = true
		return l.many(ctx, jobs, 8)
	}
}

// shuffled gives the points in an order of the seed's.
func shuffled(all []string, seed uint64) []string {
	all = slices.Clone(all)
	rand.New(rand.NewPCG(seed, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}
