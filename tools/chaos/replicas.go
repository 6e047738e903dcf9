package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What replicas promise one another: one that dies or freezes is done without after seconds, and one that
// wakes up late does nothing any more in its old role.

const (
	// probes are jobs that a replica has acknowledged just before it is lost.
	probes = 6
	// movePatience is how long they and the miners may take to go on at the other one. Others are
	// noticed to be dead after 5 s; the rest is for a machine that is busy with the load.
	movePatience = 45 * time.Second
)

// abandon kills a replica in the middle of its work, and starts it again only when the other has all that
// it had.
func (w *world) abandon(ctx context.Context, p *process, l *load, r *result) error {
	ids, err := w.probe(ctx, p, l)
	if err != nil {
		return err
	}
	p.kill()
	return errors.Join(w.moveFrom(ctx, p, ids, r), w.start(ctx, p.name))
}

// suspend freezes a replica until the other has all that it had, and wakes it up again.
func (w *world) suspend(ctx context.Context, p *process, l *load, r *result) error {
	ids, err := w.probe(ctx, p, l)
	if err != nil {
		return err
	}
	before, err := fenced(p)
	if err != nil {
		return err
	}
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	moved := w.moveFrom(ctx, p, ids, r)
	if err := errors.Join(moved, p.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	return w.expectFenced(ctx, p, before, r)
}

// expectFenced waits until a replica that slept has found out that others did without it, and answers.
func (w *world) expectFenced(ctx context.Context, p *process, before int, r *result) error {
	for limit := time.Now().Add(movePatience); time.Now().Before(limit); {
		times, err := fenced(p)
		if err != nil {
			return err
		}
		if times > before && answers(ctx, p.health) {
			return nil
		}
		if err := pause(ctx, 5*look); err != nil {
			return err
		}
	}
	r.late = append(r.late, p.name+" slept while the other took over, and has not begun anew")
	return nil
}

// fenced counts how often a replica has said that it begins anew.
func fenced(p *process) (int, error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return 0, fmt.Errorf("read what %s says: %w", p.name, err)
	}
	return strings.Count(string(text), "beginning anew"), nil
}

// eachLost is the short form of what happens to replicas: one is killed, the other frozen, under load.
func eachLost(jobs int, rate float64) scenario {
	return func(ctx context.Context, w *world, l *load, r *result) error {
		l.plain = true // or the run waits a minute for jobs that fail at one miner, and the other is taken out
		done := make(chan error, 1)
		go func() { done <- l.paced(ctx, jobs, rate) }()
		one, other := w.of(coordinatorName)
		r.kills[one.name]++
		r.kills["pause"]++
		return errors.Join(w.abandon(ctx, one, l, r), w.suspend(ctx, other, l, r), <-done)
	}
}

// probe has a replica acknowledge some jobs.
func (w *world) probe(ctx context.Context, p *process, l *load) (ids []string, err error) {
	for range probes {
		id, err := l.submitAt(ctx, p.rest())
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (p *process) rest() string {
	return strings.TrimSuffix(strings.TrimPrefix(p.health, "http://"), "/healthz")
}

// moveFrom waits until the jobs have ended at the other replica, and all miners are there; what has not
// moved in time is noted.
func (w *world) moveFrom(ctx context.Context, p *process, ids []string, r *result) error {
	began := time.Now()
	others := slices.DeleteFunc(slices.Clone(w.rests), func(rest string) bool { return rest == p.rest() })
	limit, cancel := context.WithDeadline(ctx, began.Add(movePatience))
	defer cancel()
	for _, id := range ids {
		for !w.ended(limit, others[0], id) {
			if limit.Err() != nil {
				r.late = append(r.late, fmt.Sprintf("job %s of %s, which was lost, has not ended after %s", id, p.name, movePatience))
				return ctx.Err()
			}
			if err := pause(ctx, 5*look); err != nil {
				return err
			}
		}
	}
	if err := w.awaitMiners(ctx, time.Until(began.Add(movePatience)), others...); err != nil {
		r.late = append(r.late, fmt.Sprintf("the miners of %s, which was lost: %v", p.name, err))
		return ctx.Err()
	}
	r.moved = max(r.moved, time.Since(began))
	return nil
}

func (w *world) ended(ctx context.Context, rest, id string) bool {
	said, err := w.callAt(ctx, rest, http.MethodGet, "/v1/jobs/"+id, nil, "")
	if err != nil {
		return false
	}
	phase, err := fieldOf(said, "phase")
	return err == nil && phase == "done"
}
