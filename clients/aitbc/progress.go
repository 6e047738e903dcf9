package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const progressEvery = 100 * time.Millisecond

// progress is a line on standard error that says what a job does, on a terminal only.
type progress struct {
	out   io.Writer
	id    string
	begin time.Time
	quit  chan struct{} // closed by stop
	done  sync.WaitGroup

	mu    sync.Mutex
	state string
}

// startProgress begins to show a job; stop it. It is nil when there is no terminal.
func (a *app) startProgress(id string, now time.Time) *progress {
	if !a.errTTY {
		return nil
	}
	p := &progress{out: a.err, id: id, begin: now, state: "submitted", quit: make(chan struct{})}
	p.done.Go(p.show)
	return p
}

// say changes what is shown.
func (p *progress) say(status, phase string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = printable(status)
	if phase != "" && phase != status {
		p.state += " (" + printable(phase) + ")"
	}
}

// stop wipes the line.
func (p *progress) stop() {
	if p == nil {
		return
	}
	close(p.quit)
	p.done.Wait()
}

func (p *progress) show() {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	const frames = `|/-\`
	for i := 0; ; i++ {
		select {
		case <-p.quit:
			fmt.Fprint(p.out, "\r\x1b[K")
			return
		case now := <-ticker.C:
			p.mu.Lock()
			state := p.state
			p.mu.Unlock()
			fmt.Fprintf(p.out, "\r\x1b[K%c %s %s, %.0f s", frames[i%len(frames)], p.id, state, now.Sub(p.begin).Seconds())
		}
	}
}
