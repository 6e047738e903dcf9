package miner

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

const (
	// benchPrompt and benchTokens are what the engine is asked for.
	benchPrompt = "Tell me a long story about a machine that learns."
	benchTokens = int32(64)
	// benchLimit bounds one answer.
	benchLimit = 5 * time.Minute
	// benchGain is how much more all answers together must bring to be worth another slot.
	benchGain = 1.15
)

// Level is how fast the engine was with so many answers at once.
type Level struct {
	// Parallel is how many.
	Parallel int
	// TokensPerSecond is what they made together, by the clock; EachPerSecond what one made, by the
	// engine's own measurement, which is what is paid by.
	TokensPerSecond float64
	EachPerSecond   float64
}

// Benchmark measures a model with 1, 2, 4 ... answers at once, up to most, and gives each level to report
// as soon as it is there. The slots that it found worth having are the last level that brought more than
// the one before. Errors: a most that is not 1 to 256, the engine's.
func Benchmark(ctx context.Context, engineURL, model string, most int, report func(Level)) (found Measured, err error) {
	if most < 1 || most > maxSlots {
		return found, fmt.Errorf("benchmark: most is %d, want 1 to %d", most, maxSlots)
	}
	base, err := url.Parse(engineURL)
	if err != nil {
		return found, fmt.Errorf("read ollama-url: %w", err)
	}
	engine := executor.New(base)
	defer engine.Close()
	version, err := engine.Version(ctx)
	if err != nil {
		return found, fmt.Errorf("benchmark: %w", err)
	}
	found = Measured{Model: executor.FullName(model), Engine: attempt.EngineName(version)}
	if found.Digest, err = engine.Digest(ctx, found.Model); err != nil {
		return found, fmt.Errorf("benchmark: %w", err)
	}
	if _, err := answerOnce(ctx, engine, model); err != nil { // loads the model
		return found, err
	}
	var best float64
	for n := 1; n <= most; n *= 2 {
		level, err := measure(ctx, engine, model, n)
		if err != nil {
			return found, err
		}
		report(level)
		if level.TokensPerSecond < best*benchGain {
			break
		}
		found.Slots, best = n, level.TokensPerSecond
	}
	return found, nil
}

func measure(ctx context.Context, engine *executor.Ollama, model string, parallel int) (Level, error) {
	answers := make([]executor.Answer, parallel)
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range answers {
		group.Go(func() (err error) {
			answers[i], err = answerOnce(ctx, engine, model)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Level{}, err
	}
	took := time.Since(began)
	level := Level{Parallel: parallel}
	var tokens uint32
	var compute time.Duration
	for _, a := range answers {
		tokens += a.OutputTokens
		compute += a.Compute
	}
	if took <= 0 || compute <= 0 {
		return level, errors.New("the engine took no time at all")
	}
	level.TokensPerSecond = float64(tokens) / took.Seconds()
	level.EachPerSecond = float64(tokens) / compute.Seconds()
	return level, nil
}

func answerOnce(ctx context.Context, engine *executor.Ollama, model string) (executor.Answer, error) {
	tokens := benchTokens
	answer, err := engine.Generate(ctx, executor.Request{
		Model: executor.FullName(model), Prompt: benchPrompt, Limit: benchLimit, Options: aitbc.Options{NumPredict: &tokens},
	})
	if err != nil {
		return answer, fmt.Errorf("benchmark: %w", err)
	}
	return answer, nil
}
