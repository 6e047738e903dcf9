package dispatch

import "fmt"

// Shed refuses a submission while there is no room for another job; nil: there is. It costs next to
// nothing and may be called by any goroutine, before anything else is done for a call.
//
// A queue that was full has room again when it has gone down by some places: a job for each that comes
// free would cost a commit for each.
func (d *Dispatcher) Shed() error {
	if n := d.submitting.Load(); n >= int64(d.config.MaxSubmitting) {
		return &overloadedError{what: fmt.Sprintf("%d submissions are being worked on", n)}
	}
	if d.full.Load() {
		return d.fullError()
	}
	return nil
}

func (d *Dispatcher) fullError() error {
	return &overloadedError{what: fmt.Sprintf("%d jobs wait or are under way", d.config.MaxQueue)}
}

// enterSubmission begins a submission, or refuses it; leaveSubmission is called either way.
func (d *Dispatcher) enterSubmission() error {
	if n := d.submitting.Add(1); n > int64(d.config.MaxSubmitting) {
		return &overloadedError{what: fmt.Sprintf("%d submissions are being worked on", n-1)}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.config.MaxQueue > 0 && d.undone() >= d.config.MaxQueue {
		d.full.Store(true)
	}
	if d.full.Load() {
		return d.fullError()
	}
	return nil
}

func (d *Dispatcher) leaveSubmission() { d.submitting.Add(-1) }

// undone gives how many jobs are not done.
func (d *Dispatcher) undone() int { return len(d.live) + d.parked }

// makeRoom ends a queue's being full when enough jobs have left it.
func (d *Dispatcher) makeRoom() {
	step := max(1, min(d.config.MaxQueue/16, d.config.Batch))
	if d.full.Load() && d.undone() <= d.config.MaxQueue-step {
		d.full.Store(false)
	}
}
