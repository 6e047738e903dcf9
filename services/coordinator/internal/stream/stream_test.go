package stream_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// at gives a job in a phase of an attempt.
func at(phase job.Phase, attempt uint32) job.Job {
	return job.Job{ID: aitbc.JobID{1}, Phase: phase, Attempt: attempt}
}

func completed(attempt uint32) job.Job {
	j := at(job.Done, attempt)
	j.Outcome, j.Completion = job.StatusCompleted, &job.Completion{}
	return j
}

func failed(attempt uint32) job.Job {
	j := at(job.Done, attempt)
	j.Outcome = job.StatusFailed
	return j
}

// scene is a topic and the result that its store would have.
type scene struct {
	*stream.Topic
	t      require.TestingT
	result string
}

func newScene(t require.TestingT, j job.Job) *scene {
	return &scene{Topic: stream.NewHub(stream.DefaultConfig()).Topic(j), t: t}
}

func (s *scene) watch(after stream.Cursor) *stream.Watcher {
	w, err := s.Watch("key", after, s.read)
	require.NoError(s.t, err)
	return w
}

func (s *scene) read(context.Context) (string, error) { return s.result, nil }

// all gives what the watcher gets without waiting.
func all(t require.TestingT, w *stream.Watcher) []stream.Event {
	now, cancel := context.WithCancel(context.Background())
	cancel() // look, but do not wait
	var events []stream.Event
	for {
		event, err := w.Next(now)
		if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
			return events
		}
		require.NoError(t, err)
		events = append(events, event)
	}
}

// told gives events in words.
func told(events []stream.Event) string {
	var words []string
	for _, e := range events {
		switch e.Kind {
		case stream.State:
			words = append(words, string(e.Job.Phase))
		case stream.Text:
			words = append(words, `"`+e.Text+`"`)
		case stream.Reset:
			words = append(words, "reset")
		case stream.Done:
			words = append(words, "done:"+e.Text)
		}
	}
	return strings.Join(words, " ")
}

func TestAWatcherSeesStatesAndTextInOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t, at(job.Queued, 0))
	w := s.watch(stream.Cursor{})
	require.Equal(t, "queued", told(all(t, w)))
	s.Move(at(job.Leased, 1))
	s.Append(1, 0, "Ma")
	s.Move(at(job.Running, 1))
	s.Append(1, 2, "ch")
	require.Equal(t, `running "Mach"`, told(all(t, w)), "what it did not see in time comes as one")
	s.Append(1, 4, "ine")
	s.result = "Machine!"
	settling := completed(1)
	settling.Phase = job.Settling
	s.Move(settling)
	require.Equal(t, `"ine!" settling`, told(all(t, w)), "the answer before what the job does next")
	s.Move(completed(1))
	require.Equal(t, "done:Machine!", told(all(t, w)))
	require.Empty(t, all(t, w))
	require.Equal(t, `"Machine!" done:Machine!`, told(all(t, s.watch(stream.Cursor{}))), "who comes late")
}

func TestAnotherAttemptIsAnnouncedToThoseWhoSawText(t *testing.T) {
	t.Parallel()
	s := newScene(t, at(job.Running, 1))
	saw, sawNothing := s.watch(stream.Cursor{}), s.watch(stream.Cursor{})
	s.Append(1, 0, "one")
	require.Equal(t, `running "one"`, told(all(t, saw)))
	s.Move(at(job.Queued, 1))
	require.Equal(t, "queued", told(all(t, saw)))
	s.Move(at(job.Running, 2))
	s.Append(1, 3, "late")
	s.Append(2, 0, "two")
	require.Equal(t, `running reset "two"`, told(all(t, saw)))
	require.Equal(t, `running "two"`, told(all(t, sawNothing)))
	s.Move(failed(2))
	require.Equal(t, "done:", told(all(t, saw)))
}

func TestAMinerThatContradictsItselfCausesAReset(t *testing.T) {
	t.Parallel()
	s := newScene(t, at(job.Running, 1))
	w := s.watch(stream.Cursor{})
	s.Append(1, 0, "the sky is")
	require.Equal(t, `running "the sky is"`, told(all(t, w)))
	s.Append(1, 0, "the sky") // it began anew, and says the same
	require.Empty(t, all(t, w))
	s.Append(1, 4, "sea is blue")
	require.Equal(t, `reset "the sea is blue"`, told(all(t, w)))
	s.result = "the sea was blue"
	s.Move(completed(1))
	require.Equal(t, `reset "the sea was blue" done:the sea was blue`, told(all(t, w)), "the result decides")
}

func TestAMinerThatContradictsItselfAgainAndAgainIsNotHeard(t *testing.T) {
	t.Parallel()
	s := newScene(t, at(job.Running, 1))
	w := s.watch(stream.Cursor{})
	resets := 0
	for i := range 100 {
		s.Append(1, 0, string(rune('a'+i%2)))
		for _, e := range all(t, w) {
			if e.Kind == stream.Reset {
				resets++
			}
		}
	}
	require.Equal(t, 3, resets)
	s.result = "z"
	s.Move(completed(1))
	require.Equal(t, `reset "z" done:z`, told(all(t, w)))
}

func TestACursorThatDoesNotFitStartsAnew(t *testing.T) {
	t.Parallel()
	s := newScene(t, at(job.Running, 2))
	s.Append(2, 0, "añb")
	cursor := func(text string) stream.Cursor {
		c, err := stream.ParseCursor(text)
		require.NoError(t, err)
		return c
	}
	events := all(t, s.watch(stream.Cursor{}))
	good := events[len(events)-1].Cursor
	for name, c := range map[string]struct {
		after stream.Cursor
		want  string
	}{
		"the end":                      {good, "running"},
		"another text of this attempt": {stream.Cursor{Attempt: 2, Offset: 3, Sum: 7}, `running reset "añb"`},
		"within a character":           {cursor("2.2.b2821f93"), `running reset "añb"`},
		"an older attempt":             {stream.Cursor{Attempt: 1, Offset: 3, Sum: 7}, `running reset "añb"`},
		"an older one without text":    {stream.Cursor{Attempt: 1}, `running "añb"`},
		"more than there is yet":       {stream.Cursor{Attempt: 2, Offset: 100}, "running"},
	} {
		require.Equal(t, c.want, told(all(t, s.watch(c.after))), name)
	}
	s.result = "añb"
	s.Move(completed(2))
	require.Equal(t, `reset "añb" done:añb`, told(all(t, s.watch(stream.Cursor{Attempt: 2, Offset: 100}))), "more than there ever was")
	require.Empty(t, all(t, s.watch(stream.Cursor{Done: true})))
}

func TestAfterARestartAWatcherWaitsUntilItsTextIsBack(t *testing.T) {
	t.Parallel()
	before := newScene(t, at(job.Running, 1))
	before.Append(1, 0, "Machine le")
	events := all(t, before.watch(stream.Cursor{}))
	cursor := events[len(events)-1].Cursor

	after := newScene(t, at(job.Unknown, 1))
	w := after.watch(cursor)
	require.Equal(t, "unknown", told(all(t, w)))
	after.Append(1, 0, "Machine")
	after.Move(at(job.Running, 1))
	require.Equal(t, "running", told(all(t, w)))
	after.Append(1, 7, " learning")
	require.Equal(t, `"arning"`, told(all(t, w)))

	lost := newScene(t, at(job.Running, 1))
	w = lost.watch(cursor)
	lost.Move(failed(1))
	require.Equal(t, "done:", told(all(t, w)), "a text that never comes back keeps nobody waiting")
}

func TestOnlyPiecesThatFitAreTaken(t *testing.T) {
	t.Parallel()
	s := newScene(t, at(job.Running, 2))
	require.False(t, s.Append(1, 0, "old"))
	require.False(t, s.Append(3, 0, "of an attempt that is not known"))
	require.False(t, s.Append(2, -1, "nonsense"))
	require.True(t, s.Append(2, 5, "something is missing before it"))
	require.False(t, s.Append(2, 0, "ab"))
	require.False(t, s.Append(2, 1, "bc"), "an overlap")
	require.EqualValues(t, 3, s.Len())
	s.Release()
	require.False(t, s.Append(2, 3, "d"))
	require.EqualValues(t, 3, s.Len())
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	config := stream.DefaultConfig()
	config.MaxText, config.MaxBytes = 10, 15
	hub := stream.NewHub(config)
	first, second := hub.Topic(at(job.Running, 1)), hub.Topic(at(job.Running, 1))
	first.Append(1, 0, "0123456789")
	first.Append(1, 10, "x")
	require.EqualValues(t, 10, first.Len())
	second.Append(1, 0, "01234")
	second.Append(1, 5, "5")
	require.EqualValues(t, 5, second.Len(), "together they have 15")
	first.Release()
	third := hub.Topic(at(job.Running, 1))
	third.Append(1, 0, "0123456789")
	require.EqualValues(t, 10, third.Len(), "what is released makes room")
	second.Move(at(job.Running, 2))
	second.Append(2, 0, "01234")
	require.EqualValues(t, 5, second.Len(), "a new attempt begins anew")
}

func TestLongTextComesInPiecesCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	s := newScene(t, at(job.Running, 1))
	text := "x" + strings.Repeat("€", 60_000)
	s.Append(1, 0, text)
	var whole strings.Builder
	for _, e := range all(t, s.watch(stream.Cursor{})) {
		if e.Kind != stream.Text {
			continue
		}
		require.EqualValues(t, whole.Len(), e.Offset)
		require.LessOrEqual(t, len(e.Text), 64<<10)
		require.True(t, utf8.ValidString(e.Text))
		whole.WriteString(e.Text)
	}
	require.Equal(t, text, whole.String())
}

func TestWatchersOfAKeyAreCounted(t *testing.T) {
	t.Parallel()
	config := stream.DefaultConfig()
	config.PerKey = 2
	hub := stream.NewHub(config)
	watch := func(key string) (*stream.Watcher, error) {
		return hub.Topic(at(job.Queued, 0)).Watch(key, stream.Cursor{}, nil)
	}
	first, err := watch("a")
	require.NoError(t, err)
	_, err = watch("a")
	require.NoError(t, err)
	_, err = watch("a")
	var refusal interface {
		Reason() coordinatorv1.ErrorReason
	}
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED, refusal.Reason())
	_, err = watch("b")
	require.NoError(t, err)
	require.Equal(t, 3, hub.Watchers())
	first.Close()
	_, err = watch("a")
	require.NoError(t, err)
}

func TestNextWakesUpForEachChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, at(job.Running, 1))
		got := make(chan string, 10)
		w, err := s.Watch("key", stream.Cursor{}, func(context.Context) (string, error) { return "ab", nil })
		require.NoError(t, err)
		go func() {
			defer w.Close()
			for {
				event, err := w.Next(t.Context())
				if err != nil {
					got <- err.Error()
					return
				}
				got <- told([]stream.Event{event})
			}
		}()
		require.Equal(t, "running", <-got)
		for _, text := range []string{"a", "b"} {
			<-time.After(time.Second)
			s.Append(1, s.Len(), text)
			require.Equal(t, `"`+text+`"`, <-got)
		}
		s.Move(completed(1))
		require.Equal(t, "done:ab", <-got)
		require.Equal(t, "EOF", <-got)
		require.False(t, func() bool { synctest.Wait(); return s.Watched() }())
	})
}

func TestCursorsAreReadBackAndNothingElseIs(t *testing.T) {
	t.Parallel()
	for _, c := range []stream.Cursor{{}, {Attempt: 1}, {Attempt: 3, Offset: 1 << 20, Sum: 0xfeed}, {Attempt: 3, Offset: 1, Sum: 1, Done: true}} {
		read, err := stream.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, read)
	}
	for _, text := range []string{"1", "1.2", "1.2.3", "1.2.00000003.4", "1.-2.00000003", "+1.2.00000003", "1.2.0000000G", "1.2.00000003.do", " 1.2.00000003"} {
		_, err := stream.ParseCursor(text)
		require.ErrorIs(t, err, &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD}, text)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add("1.57.0badcafe.done")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := stream.ParseCursor(text)
		if err == nil && text != "" {
			require.Equal(t, text, c.String())
		}
	})
}
