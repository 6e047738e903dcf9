package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func newWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "watch JOB_ID", Short: "Show a job's answer as it is made, and how the job ends", Args: jobArgument,
		Long: `Show a job's answer as it is made, from its start, and how the job ends. A connection that is cut
is made again, and nothing is lost or shown twice. With -o jsonl (or json) each event is a line of its own.`,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			id, err := parseJob(args[0])
			if err != nil {
				return err
			}
			return a.watch(ctx, client, id)
		}),
	}
}

// watch shows a job's events until the last one.
func (a *app) watch(ctx context.Context, client *aitbc.Client, id aitbc.JobID) error {
	show := &show{app: a, out: printer{out: a.out, clean: a.outTTY}, progress: a.startProgress(id.String(), time.Now())}
	defer show.quiet()
	if a.output == outputText {
		show.out.line("Job ID: %s", id)
	}
	for event, err := range client.Events(ctx, id, "") {
		if err != nil {
			show.breakLine()
			return waitError{id, err}
		}
		if err := show.event(event); err != nil {
			return err
		}
		if event.Kind == aitbc.EventDone && event.Job.Err() != nil {
			return endedError{event.Job.Err()}
		}
	}
	return nil
}

// show prints events as they come: in the seed document's lines, with the answer growing in its own.
type show struct {
	app      *app
	out      printer
	progress *progress
	chat     *aitbc.ChatStream // reads the answer, if the job is a chat
	answered bool              // the line with the answer has begun
	open     bool              // and has no end yet
}

func (s *show) event(e *aitbc.Event) error {
	if s.app.forPrograms() {
		s.quiet()
		return s.app.encodeEvent(e)
	}
	switch e.Kind {
	case aitbc.EventState:
		s.progress.say(string(e.Job.Status), e.Job.Phase)
		if e.Job.Type == aitbc.TypeChat && s.chat == nil {
			s.chat = &aitbc.ChatStream{}
		}
	case aitbc.EventText:
		s.text(e.Text)
	case aitbc.EventReset:
		s.breakLine()
		s.answered = false
		if s.chat != nil {
			*s.chat = aitbc.ChatStream{}
		}
		_, err := fmt.Fprintf(s.app.err, "The answer begins anew (attempt %d).\n", e.Attempt)
		return err
	case aitbc.EventDone:
		s.quiet()
		s.breakLine()
		return s.app.printEnd(e.Job, !s.answered)
	}
	return s.out.err
}

// text lets the answer grow.
func (s *show) text(text string) {
	if s.chat != nil {
		if text = s.chat.Add(text).Content; text == "" {
			return
		}
	}
	s.quiet()
	if s.out.clean {
		text = printable(text)
	}
	if !s.answered {
		text = "Result: " + text
		s.answered = true
	}
	s.open = true
	if s.out.err == nil {
		_, s.out.err = io.WriteString(s.out.out, text)
	}
}

// breakLine ends the line with the answer.
func (s *show) breakLine() {
	if s.open {
		s.out.line("")
		s.open = false
	}
}

// quiet ends the line on standard error that says what happens.
func (s *show) quiet() {
	s.progress.stop()
	s.progress = nil
}
