// Package executortest is the specification of an executor: what each implementation, on a real
// engine or on a fake, must do. Start at [Run].
package executortest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// Subject is an executor on an engine that has one model at least.
type Subject struct {
	// Executor is under test.
	Executor attempt.Executor
	// Model is a full name that the engine has.
	Model string
}

const patience = time.Minute

// Run holds a subject to the specification.
func Run(t *testing.T, s Subject) {
	t.Run("a prompt is answered with counts and compute time", s.answers)
	t.Run("the token limit ends the answer", s.limitsTokens)
	t.Run("the same seed gives the same answer", s.repeats)
	t.Run("models have full names and digests and show when they are loaded", s.lists)
	t.Run("an absent model is a failure of its own", s.missesModel)
	t.Run("a prompt over the context is the request's fault", s.rejectsLongPrompt)
	t.Run("a chat is answered with the assistant's message", s.chats)
	t.Run("texts become vectors", s.embeds)
	t.Run("texts over the context are the request's fault", s.rejectsLongTexts)
	t.Run("an impossible format is the request's fault", s.rejectsFormat)
	t.Run("tools that the model cannot call are the request's fault", s.rejectsTools)
	t.Run("the execution limit ends the call", s.reachesLimit)
	t.Run("the caller's cancellation comes back as its cause", s.cancels)
}

func (s Subject) request(prompt string) executor.Request {
	zero, seed := 0.0, int32(1)
	return executor.Request{
		Model: s.Model, Prompt: prompt, Limit: patience,
		Options: aitbc.Options{Temperature: &zero, Seed: &seed},
	}
}

func (s Subject) answers(t *testing.T) {
	began := time.Now()
	request, heard := s.request("What colour is the sky?"), []string{}
	tokens := uint32(0)
	request.Heard = func(piece executor.Piece) {
		heard = append(heard, piece.Text)
		require.Empty(t, piece.Ending)
		require.Greater(t, piece.OutputTokens, tokens)
		tokens = piece.OutputTokens
	}
	answer, err := s.Executor.Generate(t.Context(), request)
	took := time.Since(began)
	require.NoError(t, err)
	require.True(t, answer.Complete)
	require.Greater(t, len(heard), 1, "it comes in pieces")
	require.Equal(t, string(answer.Text), strings.Join(heard, ""))
	require.NotEmpty(t, answer.Text)
	require.True(t, utf8.Valid(answer.Text))
	require.Positive(t, answer.PromptTokens)
	require.Positive(t, answer.OutputTokens)
	require.Positive(t, answer.Compute)
	require.Less(t, answer.Compute, took, "the engine cannot have computed longer than the call took")
}

func (s Subject) limitsTokens(t *testing.T) {
	request, three := s.request("What colour is the sky?"), int32(3)
	request.Options.NumPredict = &three
	answer, err := s.Executor.Generate(t.Context(), request)
	require.NoError(t, err)
	require.True(t, answer.Complete)
	require.Equal(t, uint32(3), answer.OutputTokens)
	require.Equal(t, executor.FinishLength, answer.FinishReason)
}

func (s Subject) repeats(t *testing.T) {
	first, err := s.Executor.Generate(t.Context(), s.request("Tell me a story."))
	require.NoError(t, err)
	second, err := s.Executor.Generate(t.Context(), s.request("Tell me a story."))
	require.NoError(t, err)
	require.Equal(t, string(first.Text), string(second.Text))
}

func (s Subject) lists(t *testing.T) {
	request := s.request("Hello.")
	request.Model = strings.TrimSuffix(s.Model, ":latest")
	_, err := s.Executor.Generate(t.Context(), request)
	require.NoError(t, err)
	models, err := s.Executor.Models(t.Context())
	require.NoError(t, err)
	for _, m := range models {
		require.Equal(t, executor.FullName(m.Name), m.Name)
		require.Regexp(t, "^[0-9a-f]{64}$", m.Digest)
		require.Positive(t, m.SizeBytes)
		if m.Name == s.Model {
			require.True(t, m.Warm)
			digest, err := s.Executor.Digest(t.Context(), request.Model)
			require.NoError(t, err)
			require.Equal(t, m.Digest, digest)
			return
		}
	}
	require.Failf(t, "the model is not listed", "%s in %v", s.Model, models)
}

func (s Subject) missesModel(t *testing.T) {
	request := s.request("Hello.")
	request.Model = "nobody-has-this:latest"
	_, err := s.Executor.Generate(t.Context(), request)
	RequireFailure(t, err, executor.ModelNotFound)
	_, err = s.Executor.Digest(t.Context(), request.Model)
	RequireFailure(t, err, executor.ModelNotFound)
}

func (s Subject) rejectsLongPrompt(t *testing.T) {
	_, err := s.Executor.Generate(t.Context(), s.request(strings.Repeat("What colour is the sky? ", 2000)))
	RequireFailure(t, err, executor.Rejected)
}

// chat is a request about a conversation.
func (s Subject) chat(t *testing.T, chat aitbc.Chat) executor.Request {
	t.Helper()
	content, err := chat.Content()
	require.NoError(t, err)
	request := s.request(content)
	request.Type = aitbc.TypeChat
	return request
}

func (s Subject) chats(t *testing.T) {
	request := s.chat(t, aitbc.Chat{Messages: []aitbc.ChatMessage{
		{Role: "system", Content: "Be brief."},
		{Role: "user", Content: "Hello."},
		{Role: "assistant", Content: "Hello."},
		{Role: "user", Content: "What colour is the sky?"},
	}})
	var heard []string
	request.Heard = func(piece executor.Piece) {
		heard = append(heard, piece.Text)
		if piece.Ending != "" {
			_, err := aitbc.ParseAnswer(strings.Join(heard, "") + piece.Ending)
			require.NoError(t, err, "each beginning becomes a message by its ending")
		}
	}
	answer, err := s.Executor.Generate(t.Context(), request)
	require.NoError(t, err)
	require.True(t, answer.Complete)
	require.Equal(t, executor.FinishStop, answer.FinishReason)
	require.Positive(t, answer.PromptTokens)
	require.Greater(t, len(heard), 2, "it comes in pieces")
	require.Equal(t, string(answer.Text), strings.Join(heard, ""))
	message, err := aitbc.ParseAnswer(string(answer.Text))
	require.NoError(t, err)
	require.NotEmpty(t, message.Content)
	var stream aitbc.ChatStream
	content := ""
	for _, piece := range heard {
		content += stream.Add(piece).Content
	}
	require.Equal(t, message.Content, content)
}

func (s Subject) embedding(t *testing.T, inputs ...string) executor.Request {
	t.Helper()
	content, err := aitbc.EmbeddingContent(inputs)
	require.NoError(t, err)
	return executor.Request{Type: aitbc.TypeEmbedding, Model: s.Model, Prompt: content, Limit: patience}
}

func (s Subject) embeds(t *testing.T) {
	answer, err := s.Executor.Generate(t.Context(), s.embedding(t, "one", "two", "one"))
	require.NoError(t, err)
	require.True(t, answer.Complete)
	require.Positive(t, answer.PromptTokens)
	require.Zero(t, answer.OutputTokens)
	require.Positive(t, answer.Compute)
	vectors, err := aitbc.ParseVectors(string(answer.Text))
	require.NoError(t, err)
	require.Len(t, vectors, 3)
	require.NotEmpty(t, vectors[0])
	require.Equal(t, vectors[0], vectors[2])
	require.NotEqual(t, vectors[0], vectors[1])
}

func (s Subject) rejectsLongTexts(t *testing.T) {
	long := strings.Repeat("What colour is the sky? ", 2000)
	_, err := s.Executor.Generate(t.Context(), s.embedding(t, "short", long))
	RequireFailure(t, err, executor.Rejected)
	_, err = s.Executor.Generate(t.Context(), s.chat(t, aitbc.Chat{Messages: []aitbc.ChatMessage{{Role: "user", Content: long}}}))
	RequireFailure(t, err, executor.Rejected)
}

func (s Subject) rejectsFormat(t *testing.T) {
	request := s.request("Hello.")
	request.Options.Format = `{"type":"nonsense"}`
	_, err := s.Executor.Generate(t.Context(), request)
	RequireFailure(t, err, executor.Rejected)
}

func (s Subject) rejectsTools(t *testing.T) {
	_, err := s.Executor.Generate(t.Context(), s.chat(t, aitbc.Chat{
		Messages: []aitbc.ChatMessage{{Role: "user", Content: "What is the weather?"}},
		Tools:    []aitbc.ChatTool{{Name: "weather", Parameters: `{"type":"object","properties":{"city":{"type":"string"}}}`}},
	}))
	RequireFailure(t, err, executor.Rejected)
}

func (s Subject) reachesLimit(t *testing.T) {
	request := s.request("Tell me a story.")
	request.Limit = time.Nanosecond
	answer, err := s.Executor.Generate(t.Context(), request)
	RequireFailure(t, err, executor.ExecutionLimit)
	require.False(t, answer.Complete)
}

func (s Subject) cancels(t *testing.T) {
	why := errors.New("revoked")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	answer, err := s.Executor.Generate(ctx, s.request("Tell me a story."))
	require.ErrorIs(t, err, why)
	require.False(t, answer.Complete)
}

// RequireFailure requires a failure of that class.
func RequireFailure(t testing.TB, err error, want any) {
	t.Helper()
	var failure *executor.Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, want, failure.Reason, "%v", err)
}
