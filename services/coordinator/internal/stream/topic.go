package stream

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// maxRewrites is how often an attempt may contradict what it said before: a miner that crashed and
// runs the lease again may, one that does so again and again only keeps its watchers busy.
const maxRewrites = 3

// Topic is what there is to see of one job. Its methods are safe for concurrent use and do not wait.
type Topic struct {
	hub *Hub

	mu  sync.Mutex
	job job.Job
	// text is what is known of this attempt's answer; whole: it is the accepted result; full: no
	// more is taken of it.
	attempt uint32
	text    []byte
	whole   bool
	full    bool
	// edition changes whenever text does otherwise than by growing; rewrites counts why.
	edition  int
	rewrites int
	counted  int64 // bytes of text in the hub's count
	released bool
	cut      error // why the watchers must go; nil: they need not
	watchers int
	changed  chan struct{} // closed at the next change; nil: nobody waits
}

// Move says what has become of the job.
func (t *Topic) Move(j job.Job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.job = j
	if j.Attempt > t.attempt {
		t.attempt, t.rewrites, t.whole, t.full = j.Attempt, 0, false, false
		t.replace(nil)
	}
	t.notify()
}

// Append adds a piece of an attempt's answer that has offset bytes before it. What was there before
// changes nothing; what contradicts it replaces it from there on. gap says that the piece is not
// used because something before it is missing.
func (t *Topic) Append(attempt uint32, offset int64, piece string) (gap bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := int64(len(t.text))
	switch {
	case attempt != t.attempt || t.whole || t.full || t.released || offset < 0 || piece == "":
		return false
	case offset > have:
		return true
	}
	known := string(t.text[offset:min(have, offset+int64(len(piece)))])
	switch {
	case strings.HasPrefix(piece, known):
		t.grow(piece[len(known):])
	case t.rewrites == maxRewrites || !utf8.RuneStart(known[0]):
		t.full = true
	default:
		t.rewrites++
		t.replace(t.text[:offset])
		t.grow(piece)
	}
	return false
}

// grow appends within the bounds. The mutex is held.
func (t *Topic) grow(piece string) {
	if piece == "" {
		return
	}
	n := int64(len(piece))
	if len(t.text)+len(piece) > t.hub.config.MaxText {
		t.full = true
		return
	}
	if t.hub.bytes.Add(n) > t.hub.config.MaxBytes {
		t.hub.bytes.Add(-n)
		t.full = true
		return
	}
	t.counted += n
	t.text = append(t.text, piece...)
	t.notify()
}

// replace makes text another one than it was. The mutex is held.
func (t *Topic) replace(text []byte) {
	t.edition++
	t.text = text
	t.uncount(int64(len(text)))
	t.notify()
}

// uncount lowers the topic's part of the hub's count. The mutex is held.
func (t *Topic) uncount(to int64) {
	if to < t.counted {
		t.hub.bytes.Add(to - t.counted)
		t.counted = to
	}
}

// finish takes the accepted result, which ends all doubt. The mutex is not held.
func (t *Topic) finish(result string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.whole {
		return
	}
	if !strings.HasPrefix(result, string(t.text)) {
		t.edition++
	}
	t.text, t.whole = []byte(result), true
	t.uncount(0)
	t.notify()
}

// Len gives how many bytes of the current attempt's text there are.
func (t *Topic) Len() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.text))
}

// Beginning gives the first n bytes of an attempt's text; false: they are not all here.
func (t *Topic) Beginning(attempt uint32, n int64) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if attempt != t.attempt || n < 0 || n > int64(len(t.text)) {
		return "", false
	}
	return string(t.text[:n]), true
}

// Watched reports whether there is a watcher.
func (t *Topic) Watched() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.watchers > 0
}

// Release says that the topic gets no more pieces. Its watchers go on with what there is.
func (t *Topic) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.released = true
	t.uncount(0)
}

// Cut ends all watching with an error: what is to see is elsewhere.
func (t *Topic) Cut(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut = why
	t.notify()
}

func (t *Topic) cutBy() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cut
}

// notify wakes the watchers. The mutex is held.
func (t *Topic) notify() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}
