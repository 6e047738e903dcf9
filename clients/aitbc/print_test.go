package main

import (
	"bytes"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func TestSecondsText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		4690 * time.Millisecond:    "4.69 seconds",
		17 * time.Second:           "17 seconds",
		17499 * time.Millisecond:   "17 seconds",
		time.Second:                "1 second",
		1250 * time.Millisecond:    "1.25 seconds",
		9999 * time.Millisecond:    "10 seconds",
		34567 * time.Microsecond:   "0.03 seconds",
		0:                          "0 seconds",
		90*time.Minute + time.Hour: "9000 seconds",
	} {
		require.Equal(t, want, secondsText(d))
	}
}

func printed(t *testing.T, a *app, job *aitbc.Job) string {
	t.Helper()
	var out bytes.Buffer
	a.out = &out
	a.output = outputText
	require.NoError(t, a.printJob(job))
	return out.String()
}

func TestTerminalIsNotCommandedByAnswers(t *testing.T) {
	t.Parallel()
	job := &aitbc.Job{Status: aitbc.StatusFailed, Result: "a\x1b]0;title\x07b\r\nc\u009b2J", Failure: &aitbc.JobError{Reason: "R", Message: "\x1b[31mred"}}
	plain := func(string) string { return "1" } // NO_COLOR is set
	text := printed(t, &app{streams: streams{getenv: plain}, outTTY: true}, job)
	require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f-\x9f]`, text)
	require.Contains(t, text, "Result: a]0;titleb\nc2J\n")

	text = printed(t, &app{streams: streams{getenv: plain}}, job)
	require.Contains(t, text, job.Result, "where no terminal is, nothing is lost")
}

func TestColorsAreForTerminalsThatWantThem(t *testing.T) {
	t.Parallel()
	job := &aitbc.Job{Status: aitbc.StatusCompleted}
	none := func(string) string { return "" }
	require.Contains(t, printed(t, &app{streams: streams{getenv: none}, outTTY: true}, job), "Status: \x1b[32mcompleted\x1b[0m\n")
	require.Contains(t, printed(t, &app{streams: streams{getenv: none}}, job), "Status: completed\n")
	noColor := func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }
	require.Contains(t, printed(t, &app{streams: streams{getenv: noColor}, outTTY: true}, job), "Status: completed\n")
}

func TestProgressShowsTheJobAndWipesItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := &app{streams: streams{err: &out}, errTTY: true}
		p := a.startProgress("job_1", time.Now())
		p.say("running", "verifying\x1b")
		<-time.After(1050 * time.Millisecond) // in the bubble's time
		p.stop()
		require.Contains(t, out.String(), "job_1 running (verifying), 1 s")
		require.True(t, bytes.HasSuffix(out.Bytes(), []byte("\r\x1b[K")))
	})
	quiet := (&app{}).startProgress("job_1", time.Time{})
	quiet.say("running", "")
	quiet.stop()
	require.Nil(t, quiet)
}

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/closed")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	for _, output := range []string{outputText, outputJSON} {
		a := newApp(streams{out: file, getenv: func(string) string { return "" }})
		a.output = output
		require.ErrorIs(t, a.printJob(&aitbc.Job{}), os.ErrClosed)
	}
}
