package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func newQuote(a *app) *cobra.Command {
	var request aitbc.QuoteRequest
	var maxPrice, digest, priority string
	cmd := &cobra.Command{
		Use: "quote", Short: "Show what a job would cost at most, how long it would wait, and whether it is possible", Args: cobra.NoArgs,
		Long: `Show what a job would cost at most, how long it would wait, and whether it is possible at all at this
moment. It promises nothing and costs nothing; the exit code is 6 when the job is not possible.`,
		Example: `  aitbc quote --model llama3.2:latest --max-price 0.25aitbc`,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			var errs [3]error
			if maxPrice != "" {
				request.MaxPrice, errs[0] = parsePrice(maxPrice)
			}
			if digest != "" {
				request.ModelDigest, errs[1] = aitbc.ParseHash(digest)
			}
			request.Priority, errs[2] = priorityFlag(priority)
			if err := errors.Join(errs[:]...); err != nil {
				return usageError{err}
			}
			quote, err := client.Quote(ctx, request)
			if err != nil {
				return err
			}
			if err := a.print(quote, func(p *printer) { p.quote(quote) }); err != nil {
				return err
			}
			if !quote.Possible {
				return endedError{&aitbc.JobError{Reason: quote.Reason, Message: quote.Message}}
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&request.Model, "model", "m", "", "the model, such as llama3.2:latest")
	flags.StringVar(&digest, "model-digest", "", "take only the model with this manifest digest (64 hex digits)")
	flags.StringVar(&maxPrice, "max-price", "", "the most the job may cost, such as 0.25aitbc")
	flags.StringVar(&priority, "priority", "", "the priority that it would have: low, normal (default) or high")
	flags.DurationVar(&request.Timeouts.Execution, "execution-timeout", 0, "how long one attempt may run (default 5m0s)")
	if err := cmd.MarkFlagRequired("model"); err != nil {
		panic(err) // the flag is made above
	}
	return cmd
}

func (p *printer) quote(q *aitbc.Quote) {
	if q.Possible {
		p.line("Possible: yes")
	} else {
		p.line("Possible: no: %s (%s)", q.Message, string(q.Reason))
	}
	p.line("At most: %s (%s of compute at %s a second)", coins(q.MaxPrice), q.ExecutionLimit, coins(q.PricePerSecond))
	if q.EstimatedCost > 0 {
		p.line("Lately: %s an answer", coins(q.EstimatedCost))
	}
	wait := "not known"
	if q.EstimatedWait > 0 {
		wait = q.EstimatedWait.Round(10 * time.Millisecond).String()
	}
	p.line("Place in the queue: %s (wait: %s)", strconv.Itoa(q.Position), wait)
	p.line("Miners that could run it: %s", strconv.Itoa(q.EligibleMiners))
	p.line("Available: %s", coins(q.Available))
}
