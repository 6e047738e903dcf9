package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// maxSaid bounds one line of a conversation.
const maxSaid = 256 << 10

// conversation is `aitbc chat`: what was said so far, and how it goes on.
type conversation struct {
	app      *app
	client   *aitbc.Client
	request  aitbc.SubmitRequest
	messages []aitbc.ChatMessage
	prompts  bool // somebody types
	spent    aitbc.Amount
}

func newConversation(a *app) *cobra.Command {
	var model, system, maxPrice string
	var options []string
	cmd := &cobra.Command{
		Use: "chat", Short: "Have a conversation with a model", Args: cobra.NoArgs,
		Long: `Have a conversation with a model: each line is what you say, and the answer comes as it is made. Each
answer is a job, which has the whole conversation for its question. /reset begins anew, /cost says what
it has cost, /exit (or the end of the input) ends it. From a pipe or a file the lines are read without prompts, and with
-o jsonl each answer is a line of JSON.`,
		Example: `  aitbc chat --model llama3.2:latest
  aitbc chat --model llama3.2:latest --system "You answer in one sentence."`,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			c := &conversation{app: a, client: client, request: aitbc.SubmitRequest{Model: model}}
			var errs [2]error
			c.request.Options, errs[0] = parseOptions(options)
			if maxPrice != "" {
				c.request.MaxPrice, errs[1] = parsePrice(maxPrice)
			}
			if err := errors.Join(errs[:]...); err != nil {
				return usageError{err}
			}
			return c.run(ctx, system)
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&model, "model", "m", "", "the model, such as llama3.2:latest")
	flags.StringVar(&system, "system", "", "what the model should know before all else")
	flags.StringVar(&maxPrice, "max-price", "", "the most one answer may cost, such as 0.25aitbc")
	flags.StringArrayVar(&options, "option", nil, "a sampling option, NAME=VALUE: "+strings.Join(optionNames(), ", ")+"; may be repeated")
	if err := cmd.MarkFlagRequired("model"); err != nil {
		panic(err) // the flag is made above
	}
	return cmd
}

func (c *conversation) run(ctx context.Context, system string) error {
	c.reset(system)
	if file, ok := c.app.in.(*os.File); ok {
		c.prompts = term.IsTerminal(int(file.Fd())) && c.app.errTTY
	}
	lines, ended := c.listen(ctx)
	for {
		if c.prompts {
			fmt.Fprint(c.app.err, "> ")
		}
		line, ok := "", false
		select {
		case line, ok = <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !ok {
			return *ended
		}
		switch line = strings.TrimSpace(line); line {
		case "":
		case "/exit", "/quit":
			return nil
		case "/reset":
			c.reset(system)
		case "/cost":
			fmt.Fprintf(c.app.err, "%s\n", coins(c.spent))
		default:
			if err := c.say(ctx, line); err != nil {
				return err
			}
		}
	}
}

// listen reads lines until the input's end. A read from a terminal cannot be ended, so the goroutine
// may outlive the conversation; the program ends with it.
func (c *conversation) listen(ctx context.Context) (<-chan string, *error) {
	lines, ended := make(chan string), new(error)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(c.app.in)
		scanner.Buffer(nil, maxSaid)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		if err := scanner.Err(); err != nil {
			*ended = fmt.Errorf("read what you say: %w", err)
		}
	}()
	return lines, ended
}

func (c *conversation) reset(system string) {
	c.messages = nil
	if system != "" {
		c.messages = append(c.messages, aitbc.ChatMessage{Role: "system", Content: system})
	}
}

// say asks for the next answer and shows it. An answer that fails is told, and is not part of the
// conversation; where somebody types, it goes on.
func (c *conversation) say(ctx context.Context, text string) error {
	request := c.request
	messages := append(c.messages[:len(c.messages):len(c.messages)], aitbc.ChatMessage{Role: "user", Content: text})
	request.Chat = &aitbc.Chat{Messages: messages}
	job, err := c.hear(ctx, request)
	if err == nil {
		err = job.Err()
	}
	if err != nil {
		if ctx.Err() != nil || !c.prompts {
			return err
		}
		c.app.fail(ctx, err)
		return nil
	}
	answer, err := aitbc.ParseAnswer(job.Result)
	if err != nil {
		return err
	}
	c.messages = append(messages, answer)
	c.spent += job.Cost
	if c.app.forPrograms() {
		return c.app.encodeEvent(map[string]any{"message": answer, "job_id": job.ID, "receipt_id": job.ReceiptID, "cost": job.Cost})
	}
	return nil
}

// hear submits the question and shows the answer as it is made; it gives the job at its end.
func (c *conversation) hear(ctx context.Context, request aitbc.SubmitRequest) (*aitbc.Job, error) {
	progress := c.app.startProgress("waiting", time.Now())
	quiet := func() { progress.stop(); progress = nil }
	defer func() { quiet() }()
	show := func(text string) error {
		if text == "" || c.app.forPrograms() {
			return nil
		}
		quiet()
		if c.app.outTTY {
			text = printable(text)
		}
		_, err := io.WriteString(c.app.out, text)
		return err
	}
	var id aitbc.JobID
	stream := aitbc.ChatStream{}
	for event, err := range c.client.Stream(ctx, request) {
		if err != nil {
			if id == (aitbc.JobID{}) {
				return nil, err
			}
			return nil, waitError{id, err}
		}
		switch event.Kind {
		case aitbc.EventState:
			id = event.Job.ID
			progress.say(string(event.Job.Status), event.Job.Phase)
		case aitbc.EventText:
			err = show(stream.Add(event.Text).Content)
		case aitbc.EventReset:
			stream = aitbc.ChatStream{}
			err = show("\n(the answer begins anew)\n")
		case aitbc.EventDone:
			return event.Job, show("\n")
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, waitError{id, errors.New("the stream of events ended early")}
}
