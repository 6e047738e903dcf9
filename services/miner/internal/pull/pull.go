package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

const (
	// waitMin and waitMax bound the wait before a model that could not be pulled is tried again.
	waitMin = 2 * time.Second
	waitMax = 5 * time.Minute
	// logEvery is how often the log tells how far a pull is, moveEvery how often Deps.Moved is called for it.
	logEvery  = 30 * time.Second
	moveEvery = time.Second
	// clearLine takes the progress off a terminal's line.
	clearLine = "\r\x1b[K"
)

var (
	errNotListed = errors.New("the engine has pulled it and does not list it under this name, " +
		"or only passes it on to another machine: give the name that `ollama list` shows")
	errUnwanted = errors.New("it is wanted no more")
)

// Engine is what pulls.
type Engine interface {
	// Models lists what the engine has.
	Models(ctx context.Context) ([]executor.Model, error)
	// Pull fetches one model and returns when it is there.
	Pull(ctx context.Context, model string, progress func(done, total int64)) error
}

// Deps are a puller's parts.
type Deps struct {
	// Engine pulls.
	Engine Engine
	// Log is told of each pull, Screen, a terminal, shown how far it is; nil: the log is told that too.
	Log    *slog.Logger
	Screen io.Writer
	// Fits says why a model of so many bytes that was asked for is not pulled; nil: it is.
	Fits func(model string, bytes int64) error
	// Pulled is called when the engine has one more, Moved when something else about States has changed.
	// Neither is called with a lock held.
	Pulled, Moved func()
}

// State is a model that the engine lacks and that is wanted.
type State struct {
	// Name is its full name.
	Name string
	// Requested says that a coordinator asked for it, not the owner.
	Requested bool
	// Active says that it is being pulled now.
	Active bool
	// DoneBytes of TotalBytes are here, of the layers begun so far; 0 of 0 before the first.
	DoneBytes, TotalBytes int64
	// Err is why the last try failed; nil: none has.
	Err error
}

// item is a model that may be pulled.
type item struct {
	State
	own  bool                    // the owner wants it
	due  bool                    // it is to be tried, not before next
	next time.Time               // zero: at once
	wait time.Duration           // how long it rests after the next failure
	stop context.CancelCauseFunc // while it is active
}

func (i *item) wanted() bool { return i.own || i.Requested }

// Puller pulls. Its methods may be called at once.
type Puller struct {
	deps Deps
	poke chan struct{} // to Run: something became due; capacity 1

	mu    sync.Mutex
	items []*item // the owner's first, in the owner's order
}

// New makes a puller of the owner's own models and of those that may be asked for.
func New(own, pullable []string, deps Deps) *Puller {
	p := &Puller{deps: deps, poke: make(chan struct{}, 1)}
	for _, name := range own {
		if i := p.item(name); i != nil {
			i.own, i.due = true, true
		}
	}
	for _, name := range pullable {
		p.item(name)
	}
	return p
}

// item gives the new item of a name; nil: there is one already.
func (p *Puller) item(name string) *item {
	name = executor.FullName(name)
	if p.find(name) != nil {
		return nil
	}
	i := &item{State: State{Name: name}, wait: waitMin}
	p.items = append(p.items, i)
	return i
}

func (p *Puller) find(name string) *item {
	for _, i := range p.items {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// States gives the models that are wanted and lacking.
func (p *Puller) States() []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	var states []State
	for _, i := range p.items {
		if i.wanted() {
			states = append(states, i.State)
		}
	}
	return states
}

// Want says which models a coordinator asks for, by full names: all of them. Of a name that New was not
// given nothing comes, and one that is the owner's own stays that. What an earlier call asked for and this
// one does not is let go, be it half here.
func (p *Puller) Want(names []string) {
	p.mu.Lock()
	moved := false
	for _, i := range p.items {
		wanted := slices.Contains(names, i.Name)
		if i.own || wanted == i.Requested {
			continue
		}
		moved = true
		i.Requested, i.due = wanted, wanted
		if i.stop != nil && !wanted {
			i.stop(errUnwanted)
		}
		if !i.Active {
			i.State = State{Name: i.Name, Requested: wanted}
		}
	}
	p.mu.Unlock()
	if !moved {
		return
	}
	p.deps.Moved()
	select {
	case p.poke <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run pulls what is wanted and lacking, and returns when ctx ends.
func (p *Puller) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.poke:
		case <-timer.C:
		}
		next := p.turn(ctx)
		for next.IsZero() && ctx.Err() == nil {
			next = p.turn(ctx)
		}
		timer.Reset(time.Until(next))
	}
}

// never is when nothing is due.
const never = 24 * time.Hour

// turn tries the model whose turn it is, or gives when one will be due.
func (p *Puller) turn(ctx context.Context) (next time.Time) {
	pulling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	i, next := p.choose(time.Now(), stop)
	if i == nil {
		return next
	}
	err := p.fetch(pulling, i)
	if ctx.Err() != nil || errors.Is(context.Cause(pulling), errUnwanted) && err != nil {
		p.end(i, func() {})
		return time.Time{}
	}
	if err != nil {
		p.deps.Log.WarnContext(ctx, "cannot pull a model", "model", i.Name, obs.KeyError, err)
		p.end(i, func() {
			i.Err, i.due = err, i.own
			i.next, i.wait = time.Now().Add(i.wait), min(2*i.wait, waitMax)
		})
		return time.Time{}
	}
	p.end(i, func() { i.own, i.Requested, i.due, i.next, i.wait = false, false, false, time.Time{}, waitMin })
	p.deps.Pulled()
	return time.Time{}
}

// choose gives the model whose turn it is, which stop then ends, or when the next one will be due.
func (p *Puller) choose(now time.Time, stop context.CancelCauseFunc) (first *item, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next = now.Add(never)
	for _, i := range p.items {
		switch {
		case !i.due:
		case i.next.After(now):
			if i.next.Before(next) {
				next = i.next
			}
		case first == nil, i.Requested && !first.Requested, i.Requested == first.Requested && i.next.Before(first.next):
			first = i
		}
	}
	if first != nil {
		first.stop = stop
	}
	return first, next
}

// end notes that a try is over, and what came of it.
func (p *Puller) end(i *item, outcome func()) {
	p.mu.Lock()
	i.stop = nil
	i.State = State{Name: i.Name, Requested: i.Requested}
	outcome()
	p.mu.Unlock()
	p.deps.Moved()
}

// fetch pulls one model unless the engine has it.
func (p *Puller) fetch(ctx context.Context, i *item) error {
	model, err := p.listed(ctx, i.Name)
	if err != nil || model != nil {
		return err
	}
	requested := false
	p.update(i, func(s *State) {
		requested = s.Requested
		*s = State{Name: i.Name, Requested: requested, Active: true, Err: s.Err}
	})
	p.deps.Log.InfoContext(ctx, "pulling a model", "model", i.Name, "requested", requested)
	p.deps.Moved()
	err = p.deps.Engine.Pull(ctx, i.Name, p.reporter(ctx, i, time.Now()))
	if p.deps.Screen != nil {
		_, _ = io.WriteString(p.deps.Screen, clearLine)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("pull a model: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("pull a model: %w", err)
	}
	if model, err = p.listed(ctx, i.Name); err != nil {
		return err
	}
	if model == nil {
		return errNotListed
	}
	p.deps.Log.InfoContext(ctx, "a model is pulled", "model", i.Name, "digest", model.Digest, "bytes", model.SizeBytes)
	return nil
}

// listed gives the model as the engine has it; nil: it lacks it.
func (p *Puller) listed(ctx context.Context, name string) (*executor.Model, error) {
	models, err := p.deps.Engine.Models(ctx)
	if err != nil {
		return nil, fmt.Errorf("pull a model: %w", err)
	}
	if i := slices.IndexFunc(models, func(m executor.Model) bool { return m.Name == name }); i >= 0 {
		return &models[i], nil
	}
	return nil, nil
}

// reporter gives what keeps the state of one pull and tells of it: the screen at each percent, the log and
// the coordinator from time to time. It ends a pull of more than there is room for.
func (p *Puller) reporter(ctx context.Context, i *item, began time.Time) func(done, total int64) {
	told, moved, shown := began, began, int64(-1)
	return func(done, total int64) {
		p.update(i, func(s *State) { s.DoneBytes, s.TotalBytes = done, total })
		if err := p.fits(i, total); err != nil {
			p.stop(i, err)
			return
		}
		now := time.Now()
		if now.Sub(moved) >= moveEvery {
			moved = now
			p.deps.Moved()
		}
		percent := 100 * done / max(total, 1)
		if p.deps.Screen == nil {
			if now.Sub(told) >= logEvery {
				told = now
				p.deps.Log.InfoContext(ctx, "pulling a model", "model", i.Name, "bytes", done, "of", total)
			}
			return
		}
		if percent != shown {
			shown = percent
			// The log may share the terminal: its next line takes this one's place. A terminal that is gone is
			// no reason to stop.
			_, _ = fmt.Fprintf(p.deps.Screen, clearLine+"Pulling %s: %d %% of %d MiB\r", i.Name, percent, total>>20)
		}
	}
}

// fits says why a model that was asked for is too large. What the owner wants is pulled whatever its size.
func (p *Puller) fits(i *item, total int64) error {
	if i.own || p.deps.Fits == nil {
		return nil
	}
	return p.deps.Fits(i.Name, total)
}

func (p *Puller) stop(i *item, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i.stop != nil {
		i.stop(why)
	}
}

func (p *Puller) update(i *item, change func(*State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&i.State)
}
