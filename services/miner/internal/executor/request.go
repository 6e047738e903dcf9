package executor

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

const (
	// MaxText is the longest answer, in bytes.
	MaxText = 1 << 20
	// DefaultNumPredict is the limit of the answer, in tokens, when the request sets none.
	DefaultNumPredict = 500
)

// Request asks for one answer.
type Request struct {
	// Type is what to do: aitbc.TypeInference, which is the default, aitbc.TypeChat or
	// aitbc.TypeEmbedding.
	Type string
	// Model is the model's full name.
	Model string
	// Prompt is the prompt, passed as it is; of a chat and an embedding, the content.
	Prompt string
	// Options are the sampling options that were set.
	Options aitbc.Options
	// Limit is how long the call may take. It must be positive.
	Limit time.Duration
	// Heard is given each piece of the answer as it comes: together they are Answer.Text. It must not
	// wait for anything, for the engine would. Nil: nobody listens.
	Heard func(Piece)
}

// Piece is what the engine has said more, and what the answer has come to with it.
type Piece struct {
	// Text goes on with the answer's bytes.
	Text string
	// Ending would make all bytes until now a whole answer of the request's type.
	Ending string
	// OutputTokens and Compute are those that the answer would have if it ended here, as an incomplete
	// one.
	OutputTokens uint32
	Compute      time.Duration
}

// values gives the options under the engine's names.
func values(o aitbc.Options) map[string]any {
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
	// Text is the answer's bytes: a text, or the JSON of an assistant's message or of vectors.
	Text []byte
	// PromptTokens and OutputTokens are the engine's counts. In an incomplete answer the first is
	// unknown (0) and the second counts the chunks.
	PromptTokens uint32
	OutputTokens uint32
	// Compute is the time the engine spent on prompt and answer, without loading and waiting. In an
	// incomplete answer it is the time from the first chunk to the last: the engine reports
	// nothing then, and what came before the first chunk may have been waiting.
	Compute time.Duration
	// FinishReason is why the engine ended the answer: one of the words below; empty: it did not say.
	FinishReason string
	// Complete says that the engine ended the answer itself.
	Complete bool
}

// The reasons why an engine ends an answer.
const (
	FinishStop      = "stop"
	FinishLength    = "length"
	FinishToolCalls = "tool_calls"
)

// Model is a model that the engine has.
type Model struct {
	// Name is the full name, tag included.
	Name string
	// Digest is the SHA-256 of its manifest, lower-case hex.
	Digest string
	// SizeBytes is its size on disk.
	SizeBytes int64
	// MemoryBytes is the memory that it takes; 0 when it is not loaded.
	MemoryBytes int64
	// Warm says that it is loaded.
	Warm bool
}

// FullName gives a model's full name: without a tag the engine means "latest".
func FullName(name string) string { return aitbc.FullModelName(name) }

// FullNames gives those of several.
func FullNames(names []string) []string {
	full := make([]string, len(names))
	for i, name := range names {
		full[i] = FullName(name)
	}
	return full
}
