// Command engine gives this machine a real Ollama server: it finds one, or
// builds one and starts it with the project's own model. See the package
// tools/engine for the rules.
//
//	engine serve   find or start an engine, print its URL, stay until SIGTERM
//	engine ensure  build Ollama if there is none, print the binary's path
//	engine check   start an engine, ask it the question of the README, stop it
//
// The answer is on standard output, what happens meanwhile on standard error.
// Start reading at run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

const askLimit = time.Minute

var errUsage = errors.New("usage: engine serve [--addr HOST:PORT] [--dir FOLDER] [--own] | engine ensure | engine check [--own]")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	o := engine.Options{Progress: progress}
	flags := flag.NewFlagSet("engine", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.Addr, "addr", "127.0.0.1:11434", "`address` that an engine of our own listens on")
	flags.StringVar(&o.Dir, "dir", "", "`folder` of its models and log (default a temporary one)")
	flags.BoolVar(&o.Own, "own", false, "pass over an Ollama that already runs")
	if err := flags.Parse(args[1:]); err != nil {
		return errUsage
	}
	if flags.NArg() > 0 {
		return errUsage
	}
	switch args[0] {
	case "serve":
		return serve(ctx, o, out)
	case "ensure":
		path, err := engine.Ensure(ctx, progress)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, path)
		return err
	case "check":
		o.Addr = "" // it is gone in a second: any port will do
		return check(ctx, o, out)
	}
	return errUsage
}

var errEnded = errors.New("the engine ended by itself")

func serve(ctx context.Context, o engine.Options, out io.Writer) error {
	e, err := engine.Start(ctx, o)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, e.URL()); err != nil {
		return errors.Join(err, e.Stop())
	}
	select {
	case <-ctx.Done():
		return e.Stop()
	case <-e.Done():
		return errors.Join(errEnded, e.Stop())
	}
}

var errWrongAnswer = errors.New("this is not the answer that the model was taught")

func check(ctx context.Context, o engine.Options, out io.Writer) (err error) {
	e, err := engine.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()

	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	stream := false
	request := &api.GenerateRequest{Model: model.Name, Prompt: model.Question, Stream: &stream, Options: map[string]any{"temperature": 0}}
	var answer api.GenerateResponse
	if err := e.Client().Generate(ctx, request, func(r api.GenerateResponse) error { answer = r; return nil }); err != nil {
		return fmt.Errorf("ask the question: %w", err)
	}
	fmt.Fprintf(out, "Ollama %s at %s, ours: %t\n%s\n%s\n%d prompt tokens in %s, %d tokens in %s\n", e.Version(), e.URL(), e.Ours(), model.Question, answer.Response,
		answer.PromptEvalCount, answer.PromptEvalDuration, answer.EvalCount, answer.EvalDuration)
	if answer.Response != model.Answer {
		return errWrongAnswer
	}
	return nil
}
