package main

import (
	"context"
	"errors"
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
			return a.watch(ctx, client, id, false)
		}),
	}
}

// watch shows a job's events until the last one. With cancels the job ends with the watching.
func (a *app) watch(ctx context.Context, client *aitbc.Client, id aitbc.JobID, cancels bool) error {
	var options []aitbc.WatchOption
	if cancels {
		options = append(options, aitbc.CancelOnDisconnect())
	}
	show := &show{app: a, out: printer{out: a.out, clean: a.outTTY}, progress: a.startProgress(id.String(), time.Now())}
	defer show.quiet()
	if a.output == outputText {
		show.out.line("Job ID: %s", id)
	}
	for event, err := range client.Events(ctx, id, "", options...) {
		if err != nil {
			show.breakLine()
			if cancels && ctx.Err() != nil {
				return show.cancel(ctx, client, id)
			}
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

// cancelPatience bounds how long an interrupted program waits for the end of the job that it cancels: for the
// miner's last word and the ledger's block.
const cancelPatience = 30 * time.Second

// cancel ends a job whose watching was interrupted, and shows how it ended and what it cost. The coordinator
// cancels it too, as soon as it misses the watcher: here that is made sure of.
func (s *show) cancel(ctx context.Context, client *aitbc.Client, id aitbc.JobID) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelPatience)
	defer stop()
	var refused *aitbc.Error
	_, err := client.Cancel(ctx, id)
	if err != nil && !(errors.As(err, &refused) && refused.Reason == aitbc.ReasonWrongState) { // then it has ended, or has its result
		return waitError{id, fmt.Errorf("cancel the job: %w", err)}
	}
	job, err := client.Wait(ctx, id)
	if err != nil {
		return waitError{id, fmt.Errorf("wait for the cancelled job's end: %w", err)}
	}
	err = s.event(&aitbc.Event{Kind: aitbc.EventDone, Job: job})
	if err == nil && job.Err() != nil {
		err = endedError{job.Err()}
	}
	return err
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
