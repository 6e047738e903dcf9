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
	// waitMin and waitMax bound the wait before models that could not be pulled are tried again.
	waitMin = 2 * time.Second
	waitMax = 5 * time.Minute
	// logEvery is how often the log tells how far a pull is.
	logEvery = 30 * time.Second
	// clearLine takes the progress off a terminal's line.
	clearLine = "\r\x1b[K"
)

var errNotListed = errors.New("the engine has pulled it and does not list it under this name, " +
	"or only passes it on to another machine: give the name that `ollama list` shows")

// Engine is what pulls.
type Engine interface {
	// Models lists what the engine has.
	Models(ctx context.Context) ([]executor.Model, error)
	// Pull fetches one model and returns when it is there.
	Pull(ctx context.Context, model string, progress func(done, total int64)) error
}

// State is a model that the engine lacks.
type State struct {
	// Name is its full name.
	Name string
	// Active says that it is being pulled now.
	Active bool
	// DoneBytes of TotalBytes are here, of the layers begun so far; 0 of 0 before the first.
	DoneBytes, TotalBytes int64
	// Err is why the last try failed; nil: none has.
	Err error
}

// Puller pulls. Its methods may be called at once.
type Puller struct {
	engine Engine
	log    *slog.Logger
	screen io.Writer // where progress is shown; nil: it is logged
	pulled func()

	mu     sync.Mutex
	states []State // of what is lacking, in the owner's order
}

// New makes a puller of the models with these names. It shows its progress on screen, a terminal, or logs
// it when that is nil, and calls pulled when the engine has one more.
func New(names []string, engine Engine, log *slog.Logger, screen io.Writer, pulled func()) *Puller {
	p := &Puller{engine: engine, log: log, screen: screen, pulled: pulled}
	for _, name := range names {
		name = executor.FullName(name)
		if !slices.ContainsFunc(p.states, func(s State) bool { return s.Name == name }) {
			p.states = append(p.states, State{Name: name})
		}
	}
	return p
}

// States gives the models that are lacking.
func (p *Puller) States() []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.states)
}

// Run pulls what is lacking, again and again until all is there, and returns when ctx ends.
func (p *Puller) Run(ctx context.Context) error {
	wait := waitMin
	for ctx.Err() == nil {
		before := len(p.States())
		p.round(ctx)
		left := len(p.States())
		if left == 0 {
			break
		}
		if left < before {
			wait = waitMin
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, waitMax)
	}
	<-ctx.Done()
	return nil
}

// round tries each lacking model once.
func (p *Puller) round(ctx context.Context) {
	for _, s := range p.States() {
		if ctx.Err() != nil {
			return
		}
		if err := p.fetch(ctx, s.Name); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "cannot pull a model", "model", s.Name, obs.KeyError, err)
			p.update(s.Name, func(s *State) { s.Active, s.Err = false, err })
		}
	}
}

// fetch pulls one model unless the engine has it.
func (p *Puller) fetch(ctx context.Context, name string) error {
	model, err := p.find(ctx, name)
	if err != nil {
		return err
	}
	if model == nil {
		p.log.InfoContext(ctx, "pulling a model", "model", name)
		p.update(name, func(s *State) { *s = State{Name: name, Active: true, Err: s.Err} })
		err := p.engine.Pull(ctx, name, p.reporter(ctx, name, time.Now()))
		if p.screen != nil {
			_, _ = io.WriteString(p.screen, clearLine)
		}
		if err != nil {
			return fmt.Errorf("pull a model: %w", err)
		}
		if model, err = p.find(ctx, name); err != nil {
			return err
		}
		if model == nil {
			return errNotListed
		}
		p.log.InfoContext(ctx, "a model is pulled", "model", name, "digest", model.Digest, "bytes", model.SizeBytes)
	}
	p.mu.Lock()
	p.states = slices.DeleteFunc(p.states, func(s State) bool { return s.Name == name })
	p.mu.Unlock()
	p.pulled()
	return nil
}

// find gives the model as the engine has it; nil: it lacks it.
func (p *Puller) find(ctx context.Context, name string) (*executor.Model, error) {
	models, err := p.engine.Models(ctx)
	if err != nil {
		return nil, fmt.Errorf("pull a model: %w", err)
	}
	if i := slices.IndexFunc(models, func(m executor.Model) bool { return m.Name == name }); i >= 0 {
		return &models[i], nil
	}
	return nil, nil
}

// reporter gives what keeps the state of one pull and tells of it: the screen at each percent, the log
// from time to time.
func (p *Puller) reporter(ctx context.Context, name string, began time.Time) func(done, total int64) {
	told, shown := began, int64(-1)
	return func(done, total int64) {
		p.update(name, func(s *State) { s.DoneBytes, s.TotalBytes = done, total })
		percent := 100 * done / max(total, 1)
		if p.screen == nil {
			if now := time.Now(); now.Sub(told) >= logEvery {
				told = now
				p.log.InfoContext(ctx, "pulling a model", "model", name, "bytes", done, "of", total)
			}
			return
		}
		if percent != shown {
			shown = percent
			// The log may share the terminal: its next line takes this one's place. A terminal that is gone is
			// no reason to stop.
			_, _ = fmt.Fprintf(p.screen, clearLine+"Pulling %s: %d %% of %d MiB\r", name, percent, total>>20)
		}
	}
}

func (p *Puller) update(name string, change func(*State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.states {
		if p.states[i].Name == name {
			change(&p.states[i])
		}
	}
}
