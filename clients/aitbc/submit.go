package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// maxPromptRead bounds what is read of a prompt's file; the coordinator's own limit is lower, and
// its answer names the field.
const maxPromptRead = 1 << 20

// submission is the flags that describe a job: of any type, and the prompt.
type submission struct {
	prompt, promptFile string
	model, modelDigest string
	maxPrice           string
	options            []string
	timeouts           aitbc.Timeouts
	requestID          string
	priority           string
}

// register makes the flags of an inference, and those of a chat but its own.
func (i *submission) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&i.prompt, "prompt", "p", "", "the prompt; - reads standard input (a newline at its end is dropped)")
	flags.StringVar(&i.promptFile, "prompt-file", "", "read the prompt from this file")
	flags.StringArrayVar(&i.options, "option", nil, "a sampling option, NAME=VALUE: "+strings.Join(optionNames(), ", ")+"; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("prompt", "prompt-file")
	i.registerTerms(cmd)
}

// registerTerms makes the flags that jobs of all types have.
func (i *submission) registerTerms(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&i.model, "model", "m", "", "the model, such as llama3.2:latest")
	flags.StringVar(&i.modelDigest, "model-digest", "", "take only the model with this manifest digest (64 hex digits)")
	flags.StringVar(&i.maxPrice, "max-price", "", `the most the job may cost, such as 0.25aitbc (default: price per second x execution limit)`)
	flags.StringVar(&i.priority, "priority", "", "which of the jobs that wait for the model go first: low, normal (default) or high")
	flags.DurationVar(&i.timeouts.Queue, "queue-timeout", 0, "how long to wait for a miner (default 1m0s)")
	flags.DurationVar(&i.timeouts.Execution, "execution-timeout", 0, "how long one attempt may run (default 5m0s)")
	flags.DurationVar(&i.timeouts.Total, "total-timeout", 0, "how long everything may take together (default 6m0s)")
	flags.StringVar(&i.requestID, "request-id", "", "submit this at most once: the same id gives the same job")
	if err := cmd.MarkFlagRequired("model"); err != nil {
		panic(err) // the flag is made above
	}
}

// request is the whole of an inference.
func (i *submission) request(a *app) (aitbc.SubmitRequest, error) {
	req, err := i.terms()
	prompt, promptErr := i.readPrompt(a)
	if promptErr != nil {
		err = errors.Join(usageError{promptErr}, err)
	}
	req.Prompt = prompt
	return req, err
}

// terms is what jobs of all types have.
func (i *submission) terms() (aitbc.SubmitRequest, error) {
	req := aitbc.SubmitRequest{Model: i.model, Timeouts: i.timeouts, RequestID: i.requestID}
	var errs [4]error
	req.Options, errs[0] = parseOptions(i.options)
	if i.maxPrice != "" {
		req.MaxPrice, errs[1] = parsePrice(i.maxPrice)
	}
	if i.modelDigest != "" {
		req.ModelDigest, errs[2] = aitbc.ParseHash(i.modelDigest)
	}
	req.Priority, errs[3] = priorityFlag(i.priority)
	if err := errors.Join(errs[:]...); err != nil {
		return req, usageError{err}
	}
	return req, nil
}

func (i *submission) readPrompt(a *app) (string, error) {
	source := a.in
	switch {
	case i.promptFile != "":
		file, err := os.Open(i.promptFile)
		if err != nil {
			return "", fmt.Errorf("--prompt-file: %w", err)
		}
		defer file.Close()
		source = file
	case i.prompt != "-":
		return i.prompt, nil
	}
	text, err := io.ReadAll(io.LimitReader(source, maxPromptRead+1))
	if err != nil {
		return "", fmt.Errorf("read the prompt: %w", err)
	}
	if len(text) > maxPromptRead {
		return "", fmt.Errorf("prompt: over %d bytes", maxPromptRead)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

// parseAmount also takes what this program prints, "0.25 AITBC", and a bare number.
func parseAmount(text string) (aitbc.Amount, error) {
	number := strings.TrimSuffix(strings.ToLower(strings.ReplaceAll(text, " ", "")), aitbc.CoinSuffix)
	return aitbc.ParseAmount(number + aitbc.CoinSuffix)
}

func parsePrice(text string) (aitbc.Amount, error) { return parsePriceOf("--max-price", text) }

func parsePriceOf(what, text string) (aitbc.Amount, error) {
	amount, err := parseAmount(text)
	if err != nil || amount == 0 {
		return 0, fmt.Errorf("%s is %q, want an amount such as 0.25aitbc", what, text)
	}
	return amount, nil
}

func newSubmit(a *app) *cobra.Command {
	return group("submit", "Submit a job", newInference(a), newChat(a), newEmbedding(a))
}

func newInference(a *app) *cobra.Command {
	var job submission
	cmd := &cobra.Command{
		Use: "inference", Short: "Submit an inference", Args: cobra.NoArgs,
		Example: `  aitbc submit inference --prompt "What is machine learning?" --model llama3.2:latest
  aitbc submit inference --prompt - --model llama3.2:latest --option temperature=0 --wait < question.txt
  aitbc submit inference --prompt "Tell me a story." --model llama3.2:latest --stream`,
	}
	job.register(cmd)
	cmd.MarkFlagsOneRequired("prompt", "prompt-file")
	a.submits(cmd, job.request)
	return cmd
}

// submits makes a command submit what request gives, and wait for it or show it if it is told to.
func (a *app) submits(cmd *cobra.Command, request func(*app) (aitbc.SubmitRequest, error)) {
	var wait, watch, cancel bool
	cmd.Flags().BoolVarP(&wait, "wait", "w", false, "wait for the end and print the result")
	cmd.Flags().BoolVar(&watch, "stream", false, "print the answer as it is made")
	cmd.Flags().BoolVar(&cancel, "cancel-on-disconnect", false, "with --stream: cancel the job when this program is interrupted or its connection breaks")
	cmd.MarkFlagsMutuallyExclusive("wait", "stream")
	cmd.RunE = a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
		if cancel && !watch {
			return usageError{errors.New("--cancel-on-disconnect needs --stream")}
		}
		req, err := request(a)
		if err != nil {
			return err
		}
		submitted, err := client.Submit(ctx, req)
		switch {
		case err != nil:
			return err
		case watch:
			return a.watch(ctx, client, submitted.JobID, cancel)
		case wait:
			return a.follow(ctx, client, submitted.JobID)
		}
		return a.print(submitted, func(p *printer) {
			p.line("Job ID: %s", submitted.JobID)
			p.line("Status: %s", p.status(submitted.Status))
			if submitted.Available != nil && a.outTTY { // the seed document's lines stay as they are
				p.line("Left to spend: %s", coins(*submitted.Available))
			}
		})
	})
}

func newRun(a *app) *cobra.Command {
	var job submission
	cmd := &cobra.Command{
		Use: "run", Short: "Submit an inference, wait, and print its result", Args: cobra.NoArgs,
		Example: `  aitbc run --prompt "What is machine learning?" --model llama3.2:latest`,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			req, err := job.request(a)
			if err != nil {
				return err
			}
			submitted, err := client.Submit(ctx, req)
			if err != nil {
				return err
			}
			return a.follow(ctx, client, submitted.JobID)
		}),
	}
	job.register(cmd)
	cmd.MarkFlagsOneRequired("prompt", "prompt-file")
	return cmd
}

// follow shows a job's progress until its end, and then the job.
func (a *app) follow(ctx context.Context, client *aitbc.Client, id aitbc.JobID) error {
	progress := a.startProgress(id.String(), time.Now())
	var last *aitbc.Job
	var err error
	for job, watchErr := range client.Watch(ctx, id) {
		if err = watchErr; err == nil {
			last = job
			progress.say(string(job.Status), job.Phase)
		}
	}
	progress.stop()
	if err != nil {
		return waitError{id, err}
	}
	if err := a.printJob(last); err != nil {
		return err
	}
	if failure := last.Err(); failure != nil {
		return endedError{failure}
	}
	return nil
}
