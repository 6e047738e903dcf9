package executor

import (
	"strings"
	"time"
)

const (
	// MaxText is the longest answer, in bytes.
	MaxText = 1 << 20
	// DefaultNumPredict is the limit of the answer, in tokens, when the request sets none.
	DefaultNumPredict = 500

	defaultTag = ":latest"
)

// Request is one prompt.
type Request struct {
	// Model is the model's full name.
	Model string
	// Prompt is passed as it is.
	Prompt string
	// Options are the sampling options that were set.
	Options Options
	// Limit is how long the call may take. It must be positive.
	Limit time.Duration
	// Heard is given each piece of the answer as it comes: together they are Answer.Text. It must not
	// wait for anything, for the engine would. Nil: nobody listens.
	Heard func(piece string)
}

// Options are sampling options; nil ones are the engine's or the model's own.
type Options struct {
	Temperature   *float64
	NumPredict    *int32
	TopP          *float64
	TopK          *int32
	MinP          *float64
	RepeatPenalty *float64
	Seed          *int32
	Stop          []string
}

// values gives the options under the engine's names.
func (o Options) values() map[string]any {
	set := map[string]any{"num_predict": int32(DefaultNumPredict)}
	put(set, "temperature", o.Temperature)
	put(set, "num_predict", o.NumPredict)
	put(set, "top_p", o.TopP)
	put(set, "top_k", o.TopK)
	put(set, "min_p", o.MinP)
	put(set, "repeat_penalty", o.RepeatPenalty)
	put(set, "seed", o.Seed)
	if len(o.Stop) > 0 {
		set["stop"] = o.Stop
	}
	return set
}

func put[T any](set map[string]any, name string, value *T) {
	if value != nil {
		set[name] = *value
	}
}

// Answer is what the engine said. Beside an error it holds what was done until then.
type Answer struct {
	// Text is the answer's bytes.
	Text []byte
	// PromptTokens and OutputTokens are the engine's counts. In an incomplete answer the first is
	// unknown (0) and the second counts the chunks.
	PromptTokens uint32
	OutputTokens uint32
	// Compute is the time the engine spent on prompt and answer, without loading and waiting. In an
	// incomplete answer it is the time from the first chunk to the last: the engine reports
	// nothing then, and what came before the first chunk may have been waiting.
	Compute time.Duration
	// Complete says that the engine ended the answer itself.
	Complete bool
}

// Model is a model that the engine has.
type Model struct {
	// Name is the full name, tag included.
	Name string
	// Digest is the SHA-256 of its manifest, lower-case hex.
	Digest string
	// SizeBytes is its size on disk.
	SizeBytes int64
	// Warm says that it is loaded.
	Warm bool
}

// FullName gives a model's full name: without a tag the engine means "latest".
func FullName(name string) string {
	if strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, '/') {
		return name
	}
	return name + defaultTag
}
