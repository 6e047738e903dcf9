package stream_test

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// viewer is a watcher as a program keeps one: its text, and the last event's id for when it is cut.
type viewer struct {
	watcher *stream.Watcher
	last    string
	text    string
	attempt uint32
	done    bool
	result  string
}

// play is a job with its miner, its coordinator and its viewers.
type play struct {
	t       *rapid.T
	scene   *scene
	job     job.Job
	engine  string // what this attempt's engine has said; the miner has all of it
	run     int    // how often an engine has begun, so that no two say the same
	sent    int
	viewers []*viewer
}

// TestEachWatcherGetsTheTextOnce plays any interleaving of tokens, pieces that are lost, repeated
// and late, attempts, miners and coordinators that begin anew, and watchers that come, are cut, are
// slow and come back: whatever a watcher has since its last reset is how one engine's text began,
// and at the end each has the result, byte for byte.
func TestEachWatcherGetsTheTextOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := &play{t: t, job: at(job.Running, 1)}
		p.boot()
		p.begin()
		t.Repeat(map[string]func(*rapid.T){
			"the engine says more":        func(*rapid.T) { p.engine += p.token() },
			"a piece arrives":             func(*rapid.T) { p.send(p.sent) },
			"a piece arrives again":       func(t *rapid.T) { p.send(rapid.IntRange(0, p.sent).Draw(t, "from")) },
			"a piece is lost":             func(*rapid.T) { p.sent = min(p.sent+1, len(p.engine)) },
			"a piece of old comes late":   func(*rapid.T) { p.scene.Append(p.job.Attempt-1, 0, "late") },
			"another attempt begins":      func(*rapid.T) { p.nextAttempt() },
			"the miner begins anew":       func(*rapid.T) { p.begin() },
			"the coordinator begins anew": func(*rapid.T) { p.boot() },
			"a watcher comes":             func(*rapid.T) { p.come() },
			"a watcher reads":             func(t *rapid.T) { p.each(t, p.read) },
			"a watcher is cut":            func(t *rapid.T) { p.each(t, p.cut) },
		})
		p.end()
	})
}

func (p *play) token() string {
	return rapid.SampledFrom([]string{"a", "b ", "ñ", "€uro"}).Draw(p.t, "token")
}

// begin has an engine begin to answer, in words of its own.
func (p *play) begin() {
	p.run++
	p.engine, p.sent = "", 0
	if rapid.Bool().Draw(p.t, "says something else") {
		p.engine = fmt.Sprintf("(%d)", p.run)
	}
}

func (p *play) boot() {
	p.scene = newScene(p.t, p.job)
	p.sent = 0
	for _, v := range p.viewers {
		v.watcher = nil
	}
}

func (p *play) nextAttempt() {
	if p.job.Attempt == 5 {
		return
	}
	p.job = at(job.Running, p.job.Attempt+1)
	p.scene.Move(p.job)
	p.begin()
}

// send sends from an offset on, as a miner does: whole characters. When something is missing, the
// coordinator asks for it.
func (p *play) send(from int) {
	for from < len(p.engine) && !utf8.RuneStart(p.engine[from]) {
		from--
	}
	if from >= len(p.engine) {
		return
	}
	if p.scene.Append(p.job.Attempt, int64(from), p.engine[from:]) {
		p.sent = int(p.scene.Len())
		return
	}
	p.sent = len(p.engine)
}

func (p *play) come() {
	if len(p.viewers) < 4 {
		p.viewers = append(p.viewers, &viewer{})
	}
}

func (p *play) each(t *rapid.T, do func(*viewer)) {
	if len(p.viewers) > 0 {
		do(rapid.SampledFrom(p.viewers).Draw(t, "viewer"))
	}
}

func (p *play) cut(v *viewer) {
	if v.watcher != nil {
		v.watcher.Close()
		v.watcher = nil
	}
}

// read gives a viewer all there is, as a program would take it.
func (p *play) read(v *viewer) {
	if v.watcher == nil {
		cursor, err := stream.ParseCursor(v.last)
		require.NoError(p.t, err)
		v.watcher, err = p.scene.Watch("key", cursor, p.scene.read)
		require.NoError(p.t, err)
	}
	for _, e := range all(p.t, v.watcher) {
		v.last = e.Cursor.String()
		switch e.Kind {
		case stream.Text:
			if v.text == "" {
				v.attempt = e.Attempt
			}
			require.EqualValues(p.t, len(v.text), e.Offset, "no gap, no repetition")
			require.Equal(p.t, v.attempt, e.Attempt, "no mixture")
			v.text += e.Text
		case stream.Reset:
			v.text, v.attempt = "", e.Attempt
		case stream.Done:
			v.done, v.result = true, e.Text
		case stream.State:
		}
	}
}

func (p *play) end() {
	p.come()
	p.scene.result = p.engine
	p.job = completed(p.job.Attempt)
	p.scene.Move(p.job)
	for _, v := range p.viewers {
		p.read(v)
		require.True(p.t, v.done)
		require.Equal(p.t, p.engine, v.text)
		require.Equal(p.t, p.engine, v.result)
	}
}
