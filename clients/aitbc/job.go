package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func newStatus(a *app) *cobra.Command {
	var wait, watch bool
	cmd := &cobra.Command{
		Use: "status JOB_ID", Short: "Show a job: where it is, its result, its cost", Args: jobArgument,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			id, err := parseJob(args[0])
			if err != nil {
				return err
			}
			switch {
			case wait:
				return a.follow(ctx, client, id)
			case watch:
				return a.watchStatus(ctx, client, id)
			}
			job, err := client.Get(ctx, id)
			if err != nil {
				return err
			}
			return a.printJob(job)
		}),
	}
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "wait for the job's end")
	cmd.Flags().BoolVar(&watch, "watch", false, "show the job whenever its status or phase changes, until its end")
	cmd.MarkFlagsMutuallyExclusive("wait", "watch")
	return cmd
}

// watchStatus shows a job at each change until its end.
func (a *app) watchStatus(ctx context.Context, client *aitbc.Client, id aitbc.JobID) error {
	for job, err := range client.Watch(ctx, id) {
		if err != nil {
			return waitError{id, err}
		}
		if err := a.redraw(func() error { return a.printJob(job) }); err != nil {
			return err
		}
		if failure := job.Err(); failure != nil && job.Status.Terminal() {
			return endedError{failure}
		}
	}
	return nil
}

func newCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel JOB_ID", Short: "Cancel a job whose result has not arrived", Args: jobArgument,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			id, err := parseJob(args[0])
			if err != nil {
				return err
			}
			job, err := client.Cancel(ctx, id)
			if err != nil {
				return err
			}
			return a.printJob(job)
		}),
	}
}

func newJobs(a *app) *cobra.Command {
	var status string
	var limit int
	cmd := &cobra.Command{
		Use: "jobs", Short: "List your jobs, newest first", Args: cobra.NoArgs,
	}
	a.watchable(cmd, func(ctx context.Context, client *aitbc.Client, _ []string) error {
		if limit < 1 {
			return usageError{fmt.Errorf("--limit is %d, want at least 1", limit)}
		}
		jobs := []*aitbc.Job{}
		for job, err := range client.Jobs(ctx, aitbc.JobFilter{Status: aitbc.Status(status), PageSize: limit}) {
			if err != nil {
				return err
			}
			if jobs = append(jobs, job); len(jobs) == limit {
				break
			}
		}
		return a.print(map[string]any{"jobs": jobs}, func(p *printer) {
			p.row("JOB ID", "STATUS", "MODEL", "COST", "SUBMITTED")
			for _, job := range jobs {
				p.row(job.ID.String(), string(job.Status), job.Model, coins(job.Cost), job.SubmittedTime.Local().Format(time.DateTime))
			}
		})
	})
	cmd.Flags().StringVar(&status, "status", "", "only jobs with this status: pending, running, completed, failed, cancelled")
	cmd.Flags().IntVar(&limit, "limit", 20, "at most this many")
	return cmd
}

// printJob prints a job in the seed document's lines, and what it has no line for below them.
func (a *app) printJob(job *aitbc.Job) error {
	return a.print(job, func(p *printer) {
		p.line("Job ID: %s", job.ID)
		p.job(job, true)
	})
}

// printEnd prints the lines of a watched job that have not been printed while it ran.
func (a *app) printEnd(job *aitbc.Job, withResult bool) error {
	return a.print(job, func(p *printer) { p.job(job, withResult) })
}

// readable is a job's result for people: of a chat, what the assistant says and wants called.
func readable(job *aitbc.Job) string {
	if job.Type != aitbc.TypeChat {
		return job.Result
	}
	answer, err := aitbc.ParseAnswer(job.Result)
	if err != nil {
		return job.Result
	}
	text := answer.Content
	for _, call := range answer.ToolCalls {
		text += fmt.Sprintf("\n  calls %s(%s)", call.Name, call.Arguments)
	}
	return text
}

// job prints a job's lines but its id's.
func (p *printer) job(job *aitbc.Job, withResult bool) {
	p.line("Status: %s", p.status(job.Status))
	if !job.Status.Terminal() && job.Phase != "" {
		p.line("Phase: %s", job.Phase)
	}
	if job.Result != "" && withResult {
		p.line("Result: %s", readable(job))
	}
	if job.Failure != nil {
		p.line("Error: %s (%s)", job.Failure.Message, string(job.Failure.Reason))
	}
	if job.ReceiptID != "" {
		p.line("Receipt: %s", job.ReceiptID)
	}
	if !job.Status.Terminal() {
		return
	}
	if job.Status == aitbc.StatusCompleted && !job.CompletedTime.IsZero() {
		p.line("Completed in: %s", secondsText(job.CompletedTime.Sub(job.SubmittedTime)))
	}
	p.line("Cost: %s", coins(job.Cost))
	if job.Refund != nil {
		p.line("Refund: %s", coins(job.Refund.Amount))
	}
}
