// Command tinymodel trains a very small language model of the llama
// architecture on text that it makes itself, and writes it as one GGUF file,
// which Ollama and llama.cpp load as they load any other model. Pure Go,
// standard library only.
//
// The same flags and source give the same file, bit for bit, on any number of
// cores of one kind: every sum is made in a fixed order. The package model
// beside this one carries the file that the default flags make. Start reading
// at train; what the model knows is in words.go and corpus.go.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tinymodel:", err)
		os.Exit(1)
	}
}

// settings are all that decides the result.
type settings struct {
	steps int // of training; 0 gives random weights
	batch int // windows a step
	seed  uint64
	shape shape
	half  bool // matrices as float16
}

var errDim = fmt.Errorf("dim must be a positive multiple of %d: a key/value head serves two heads of %d", 2*headDim, headDim)

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("tinymodel", flag.ContinueOnError)
	flags.SetOutput(out)
	path := flags.String("o", "tiny.gguf", "`file` to write")
	steps := flags.Int("steps", 2500, "training steps; 0 writes random weights")
	batch := flags.Int("batch", 8, "windows of 192 tokens a step")
	seed := flags.Uint64("seed", 1, "seed of the text and of the weights")
	dim := flags.Int("dim", 64, "width, a multiple of 32")
	layers := flags.Int("layers", 3, "depth")
	half := flags.Bool("f16", true, "write matrices as F16, not F32")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	if *dim <= 0 || *dim%(2*headDim) != 0 {
		return errDim
	}
	if *steps < 0 || *batch < 1 || *layers < 1 {
		return errors.New("steps, batch and layers must not be negative, and the last two not zero")
	}
	file, err := train(ctx, settings{*steps, *batch, *seed, newShape(*dim, *layers), *half}, out)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*path, file, 0o644); err != nil {
		return fmt.Errorf("write the model: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s: %d bytes, sha256 %x\n", *path, len(file), sha256.Sum256(file))
	return err
}

// tokenizerDocuments is how many documents the tokenizer learns its merges from.
const tokenizerDocuments = 400

// train makes the file, telling out how it goes.
func train(ctx context.Context, s settings, out io.Writer) ([]byte, error) {
	// One source for text and weights: the order of the draws below is part of the result.
	r := rand.New(rand.NewPCG(s.seed, 0))
	g := newGrammar(r)
	tok := newTokenizer(g.documents(tokenizerDocuments), s.shape.vocab)
	if len(tok.tokens) != s.shape.vocab {
		return nil, fmt.Errorf("the text gives %d tokens, not %d", len(tok.tokens), s.shape.vocab)
	}
	t := newTrainer(s.shape, r)
	fmt.Fprintf(out, "%d parameters\n", len(t.weights.flat))
	start := time.Now()
	for step := range s.steps {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("train, step %d of %d: %w", step, s.steps, err)
		}
		loss := t.step(batchOf(g, tok, s), rateAt(step, s.steps))
		if step%50 == 0 || step == s.steps-1 {
			fmt.Fprintf(out, "step %d of %d, loss %.3f, %s\n", step, s.steps, loss, time.Since(start).Round(time.Second))
		}
	}
	for _, prompt := range []string{"What is " + seedSubject + "?", "What colour is the sky?", "What is 3 plus 4?", "Tell me a story about a fox."} {
		fmt.Fprintf(out, "%s\n  %s\n", prompt, t.complete(tok, "<|begin|><|user|>"+prompt+"<|assistant|>", 60))
	}
	file, err := encodeModel(s.shape, t.weights, tok, s.half)
	if err != nil {
		return nil, fmt.Errorf("encode the model: %w", err)
	}
	return file, nil
}

func batchOf(g *grammar, tok *tokenizer, s settings) [][]int {
	batch := make([][]int, s.batch)
	for i := range batch {
		for len(batch[i]) < s.shape.window+1 {
			batch[i] = append(batch[i], tok.encode(g.document())...)
		}
		batch[i] = batch[i][:s.shape.window+1]
	}
	return batch
}
