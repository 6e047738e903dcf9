package stream

import (
	"context"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Kind is what an event says.
type Kind int

// The kinds of events.
const (
	// State: the job has moved.
	State Kind = iota + 1
	// Text: the answer goes on.
	Text
	// Reset: all text before is void; Attempt's text follows from its beginning.
	Reset
	// Done: the job has ended; Text is its result, if it has one.
	Done
)

// Event is one thing to show.
type Event struct {
	// Kind says which of the others are set.
	Kind Kind
	// Cursor is where the watcher is after the event.
	Cursor Cursor
	// Job is set in State and Done.
	Job job.Job
	// Attempt and Offset are set in Text, Attempt in Reset.
	Attempt uint32
	Offset  int64
	// Text is set in Text, and in Done when there is a result.
	Text string
}

// maxPiece bounds the text of one event, in bytes.
const maxPiece = 64 << 10

// Watcher follows one topic for one caller. Only one goroutine may use it.
type Watcher struct {
	topic  *Topic
	key    string
	result func(context.Context) (string, error)

	at Cursor
	// edition is the one of the topic's texts that is known to begin with what was shown; 0: none.
	edition int
	told    stage
	ended   bool
}

// stage is what a watcher is told about when it changes.
type stage struct {
	status  job.Status
	phase   job.Phase
	attempt uint32
}

func stageOf(j job.Job) stage { return stage{j.Status(), j.Phase, j.Attempt} }

// Watch adds a watcher that has shown what its cursor says. result reads the job's accepted result
// and is called only when there is one. Close it. Errors: too many watchers, RATE_LIMITED.
func (t *Topic) Watch(key string, after Cursor, result func(context.Context) (string, error)) (*Watcher, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers >= t.hub.config.PerJob {
		return nil, &tooManyError{of: "this job", limit: t.hub.config.PerJob}
	}
	if err := t.hub.enter(key); err != nil {
		return nil, err
	}
	t.watchers++
	return &Watcher{topic: t, key: key, result: result, at: after, ended: after.Done}, nil
}

// Close ends the watching.
func (w *Watcher) Close() {
	w.topic.mu.Lock()
	defer w.topic.mu.Unlock()
	w.topic.watchers--
	w.topic.hub.leave(w.key)
}

// Next waits for the next event. Errors: io.EOF after the last one, that of Topic.Cut, ctx's,
// result's.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	for {
		if w.ended {
			return Event{}, io.EOF
		}
		event, changed, ok := w.look()
		switch cut := w.topic.cutBy(); {
		case cut != nil:
			return Event{}, cut
		case ok:
			return event, nil
		case changed == nil: // there is a result, and the topic does not have it yet
			result, err := w.result(ctx)
			if err != nil {
				return Event{}, fmt.Errorf("read the result for a watcher: %w", err)
			}
			w.topic.finish(result)
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return Event{}, context.Cause(ctx)
			}
		}
	}
}

// look gives the difference between what is shown and what is; without one, what to wait for: the
// channel, or, when it is nil, the result.
func (w *Watcher) look() (event Event, changed <-chan struct{}, ok bool) {
	t := w.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.job.Completion != nil && !t.whole {
		return Event{}, nil, false
	}
	// When the answer is there, it is shown before what the job does next.
	answered := t.job.Phase == job.Settling || t.job.Phase == job.Done
	first := w.told == stage{} && t.job.Phase != job.Done
	if (first || !answered) && w.told != stageOf(t.job) {
		return w.state(), nil, true
	}
	if event, ok := w.textual(); ok {
		return event, nil, true
	}
	switch {
	case t.job.Phase == job.Done:
		return w.done(), nil, true
	case w.told != stageOf(t.job):
		return w.state(), nil, true
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return Event{}, t.changed, false
}

// state tells the stage. The topic's mutex is held, here and below.
func (w *Watcher) state() Event {
	w.told = stageOf(w.topic.job)
	return Event{Kind: State, Cursor: w.at, Job: w.topic.job}
}

func (w *Watcher) done() Event {
	t := w.topic
	w.ended, w.at.Done = true, true
	event := Event{Kind: Done, Cursor: w.at, Job: t.job}
	if t.whole {
		event.Text = string(t.text)
	}
	return event
}

// textual gives a reset or a piece of text, if one is due.
func (w *Watcher) textual() (Event, bool) {
	t := w.topic
	if w.at.Attempt != t.attempt {
		if w.at.Offset > 0 {
			return w.reset(), true
		}
		w.at = Cursor{Attempt: t.attempt}
	}
	if w.edition != t.edition {
		switch {
		case int64(len(t.text)) < w.at.Offset && !t.whole:
			return Event{}, false // not all of it is back yet, after a restart
		case !w.fits():
			return w.reset(), true
		}
		w.edition = t.edition
	}
	rest := t.text[w.at.Offset:]
	if len(rest) == 0 {
		return Event{}, false
	}
	piece := rest[:pieceEnd(rest)]
	event := Event{Kind: Text, Attempt: t.attempt, Offset: w.at.Offset, Text: string(piece)}
	w.at = w.at.shown(piece)
	event.Cursor = w.at
	return event, true
}

// fits reports whether what was shown is how the text begins.
func (w *Watcher) fits() bool {
	text := w.topic.text
	if w.at.Offset > int64(len(text)) || sum(0, text[:w.at.Offset]) != w.at.Sum {
		return false
	}
	rest := text[w.at.Offset:]
	return len(rest) == 0 || utf8.RuneStart(rest[0])
}

func (w *Watcher) reset() Event {
	w.at, w.edition = Cursor{Attempt: w.topic.attempt}, w.topic.edition
	return Event{Kind: Reset, Cursor: w.at, Attempt: w.at.Attempt}
}

// pieceEnd gives how much of the text makes one event: all of it, or as much as may be, cut between
// two characters.
func pieceEnd(text []byte) int {
	if len(text) <= maxPiece {
		return len(text)
	}
	end := maxPiece
	for end > maxPiece-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return end
}
