// Package run joins the parts of a process: it starts them in order, ends all when one ends, and
// stops them in reverse order under one deadline.
//
// A part is anything with Run(ctx): it works until the context ends, then stops in order and returns.
// Whoever starts a part waits for it. Group is the only place in the servers that starts parts.
//
// Start reading at Group.Run.
package run

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultGrace is how long all parts together may take to stop.
const DefaultGrace = 10 * time.Second

// Part is one long-lived piece of a process.
type Part interface {
	// Run works until ctx ends, and returns nil when it stopped because of that. It is called once.
	Run(ctx context.Context) error
}

// Func is a function as a Part.
type Func func(ctx context.Context) error

// Run implements Part.
func (f Func) Run(ctx context.Context) error { return f(ctx) }

// ErrEnded is returned when a part ended by itself without an error.
var ErrEnded = errors.New("ended by itself")

// Group is a list of parts. It is not safe for concurrent use, and Run may be called once.
type Group struct {
	// Grace is how long all parts together may take to stop; zero: DefaultGrace.
	Grace time.Duration

	parts []*started
}

type started struct {
	name string
	part Part
	stop context.CancelFunc
	// done is closed by the part's goroutine after err was set.
	done chan struct{}
	err  error
}

// Add appends a part. A part is stopped before those added ahead of it, so what others lean on comes
// first. The name is for errors.
func (g *Group) Add(name string, part Part) {
	g.parts = append(g.parts, &started{name: name, part: part, done: make(chan struct{})})
}

// Run starts all parts and returns when all have stopped: after ctx has ended or a part has. It
// returns all their errors; a part that ended by itself without one counts as ErrEnded.
func (g *Group) Run(ctx context.Context) error {
	// Buffered for all parts: nobody waits for the second one that ends.
	ended := make(chan *started, len(g.parts))
	// The parts' contexts keep the values, not the end, of ctx: each is ended in its turn.
	base := context.WithoutCancel(ctx)
	for _, p := range g.parts {
		partCtx, stop := context.WithCancel(base)
		p.stop = stop
		go func() {
			defer close(p.done)
			p.err = p.part.Run(partCtx)
			ended <- p
		}()
	}
	var errs []error
	select {
	case <-ctx.Done():
	case p := <-ended:
		if p.err == nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, ErrEnded))
		}
	}
	g.stop(base)
	for _, p := range g.parts {
		errs = append(errs, p.outcome())
	}
	return errors.Join(errs...)
}

// stop ends the parts, last one first, each after the one behind it has stopped. When the grace is
// over, all that are left are ended at once and get the grace once more to notice.
func (g *Group) stop(base context.Context) {
	grace := g.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	soft, cancelSoft := context.WithTimeout(base, grace)
	defer cancelSoft()
	for i := len(g.parts) - 1; i >= 0; i-- {
		g.parts[i].stop()
		g.parts[i].wait(soft)
	}
	// With soft over, the loop above did not wait any more but ended all that were left.
	hard, cancelHard := context.WithTimeout(base, grace)
	defer cancelHard()
	for _, p := range g.parts {
		p.wait(hard)
	}
}

// wait returns when the part has stopped or ctx ends.
func (p *started) wait(ctx context.Context) {
	select {
	case <-p.done:
	case <-ctx.Done():
	}
}

// outcome is the part's error once it has stopped; that it has not is an error too.
func (p *started) outcome() error {
	select {
	case <-p.done:
	default:
		return fmt.Errorf("%s: did not stop in time", p.name)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}
