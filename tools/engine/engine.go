package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ollama/ollama/api"
)

var (
	// ErrAddressTaken says that something else listens where the engine should.
	ErrAddressTaken = errors.New("address already in use")
	// ErrForeignModel says that no running server has a model which cannot be made here.
	ErrForeignModel = errors.New("no running engine has the model")
)

// Engine is one running Ollama server. Its methods may be called from several
// goroutines at once.
type Engine struct {
	url     string
	client  *api.Client
	version string
	proc    *process // nil for a server that we found and do not own
	log     *logTail
	cleanup func() error // removes what startOwn made, after the server has ended

	ending sync.Once
	err    error // of the end
}

// Start finds or starts an engine as the package comment says, and has it
// answer one prompt. ctx bounds the start alone: the engine lives until Stop,
// Kill or the end of this process. The first start on a machine without any
// Ollama builds one, which takes minutes.
func Start(ctx context.Context, o Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("engine options: %w", err)
	}
	o = o.withDefaults()
	tell := progress{o.Progress}
	if !o.Own {
		e, err := find(ctx, o)
		if err == nil {
			return e, nil
		}
		if name := o.foreign(); name != "" {
			return nil, fmt.Errorf("%w %s, and it cannot be made here: %w", ErrForeignModel, name, err)
		}
		tell.say("starting an engine of our own: %v", err)
	}
	binary, err := Ensure(ctx, o.Progress)
	if err != nil {
		return nil, fmt.Errorf("get an Ollama binary: %w", err)
	}
	e, err := startOwn(ctx, binary, o)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	if err := tell.during("preparing the models", func() error { return e.prepare(ctx, o.Models) }); err != nil {
		err = fmt.Errorf("prepare the engine: %w; its log ends: %s", err, e.log.last(1000))
		return nil, errors.Join(err, e.Kill())
	}
	return e, nil
}

// URL is the engine's base URL, such as http://127.0.0.1:45469.
func (e *Engine) URL() string { return e.url }

// Client speaks to the engine. It sets no deadline of its own.
func (e *Engine) Client() *api.Client { return e.client }

// Version is Ollama's own version, such as 0.17.4.
func (e *Engine) Version() string { return e.version }

// Ours says whether Start started this server, rather than found it running.
func (e *Engine) Ours() bool { return e.proc != nil }

// Done is closed when a server of our own has ended, for whatever reason. For
// a server that was found it is nil and so never ready.
func (e *Engine) Done() <-chan struct{} {
	if e.proc == nil {
		return nil
	}
	return e.proc.exited
}

// Stop ends a server of our own and its runners in order, and removes its
// folder if that was a temporary one. It leaves a found server alone. After
// the first Stop or Kill both do nothing but repeat its error.
func (e *Engine) Stop() error { return e.end((*process).stop) }

// Kill is Stop without asking: the server and its runners get SIGKILL.
func (e *Engine) Kill() error { return e.end((*process).kill) }

func (e *Engine) end(how func(*process) error) error {
	e.ending.Do(func() {
		if e.proc != nil {
			e.err = how(e.proc)
		}
		if e.cleanup != nil {
			e.err = errors.Join(e.err, e.cleanup())
		}
		if e.err != nil {
			e.err = fmt.Errorf("end the engine at %s: %w", e.url, e.err)
		}
	})
	return e.err
}
