package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// TestChatsAndEmbeddings takes the other two types through the whole network, on a real engine.
func TestChatsAndEmbeddings(t *testing.T) {
	n := startWithEngine(t)
	client, err := aitbc.New("http://"+n.CoordinatorREST, aitbc.WithAPIKey(clientKey))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	zero, three := 0.0, int32(3)
	chat := &aitbc.Chat{Messages: []aitbc.ChatMessage{{Role: "user", Content: question}}}

	t.Run("a chat, as it is made", func(t *testing.T) {
		watchAChat(ctx, t, client, aitbc.SubmitRequest{Chat: chat, Model: "tiny", Options: aitbc.Options{Temperature: &zero}})
	})
	t.Run("a chat that reaches its limit", func(t *testing.T) {
		job, err := client.Run(ctx, aitbc.SubmitRequest{Chat: chat, Model: "tiny", Options: aitbc.Options{NumPredict: &three}})
		require.NoError(t, err)
		require.Equal(t, "length", job.Metrics.FinishReason)
		require.Equal(t, 3, job.Metrics.OutputTokens)
	})
	t.Run("an embedding", func(t *testing.T) {
		job, err := client.Run(ctx, aitbc.SubmitRequest{Input: []string{"one", "two", "one"}, Model: "tiny"})
		require.NoError(t, err)
		vectors, err := aitbc.ParseVectors(job.Result)
		require.NoError(t, err)
		require.Len(t, vectors, 3)
		require.Equal(t, vectors[0], vectors[2])
		require.NotEqual(t, vectors[0], vectors[1])
		require.Positive(t, job.Cost)
	})
	t.Run("a schema, in its own order", func(t *testing.T) {
		job, err := client.Run(ctx, aitbc.SubmitRequest{Prompt: question, Model: "tiny", Options: aitbc.Options{
			Temperature: &zero,
			Format:      `{"type":"object","properties":{"z":{"type":"boolean"},"a":{"type":"boolean"}},"required":["z","a"]}`,
		}})
		require.NoError(t, err)
		require.Regexp(t, `^\s*\{\s*"z"\s*:\s*(true|false)\s*,\s*"a"\s*:\s*(true|false)\s*\}\s*$`, job.Result)
	})
	for name, req := range map[string]aitbc.SubmitRequest{
		"a schema of nothing":       {Prompt: question, Options: aitbc.Options{Format: `{"type":"nonsense"}`}},
		"a prompt over the context": {Chat: &aitbc.Chat{Messages: []aitbc.ChatMessage{{Role: "user", Content: strings.Repeat(question, 2000)}}}},
		"tools of a model without":  {Chat: &aitbc.Chat{Messages: chat.Messages, Tools: []aitbc.ChatTool{{Name: "f"}}}},
	} {
		t.Run(name+" is the request's own fault", func(t *testing.T) {
			req.Model = "tiny"
			job, err := client.Run(ctx, req)
			var failed *aitbc.JobError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, aitbc.ReasonRequestRejected, failed.Reason)
			require.Equal(t, 1, job.Attempts, "it would fail anywhere")
			require.Zero(t, job.Cost)
		})
	}
	t.Run("the engine's own settings stay the owner's", func(t *testing.T) {
		job := seedJob()
		job["options"] = map[string]any{"num_ctx": 4}
		refusal := call(t, n, http.MethodPost, "/v1/jobs", job, asClient()...)
		require.Equal(t, http.StatusBadRequest, refusal.Status)
		require.Contains(t, refusal.violation(), "options.num_ctx")
	})
}

// watchAChat requires that what is shown of a chat while it is made is what is signed in the end.
func watchAChat(ctx context.Context, t *testing.T, client *aitbc.Client, req aitbc.SubmitRequest) {
	t.Helper()
	var stream aitbc.ChatStream
	var said, bytes string
	var job *aitbc.Job
	for event, err := range client.Stream(ctx, req) {
		require.NoError(t, err)
		switch event.Kind {
		case aitbc.EventText:
			bytes += event.Text
			said += stream.Add(event.Text).Content
		case aitbc.EventState:
		case aitbc.EventReset:
			require.Fail(t, "nothing failed")
		case aitbc.EventDone:
			job = event.Job
		}
	}
	require.NoError(t, job.Err())
	require.Equal(t, job.Result, bytes, "what was streamed is what was signed")
	message, err := aitbc.ParseAnswer(job.Result)
	require.NoError(t, err)
	require.Equal(t, message.Content, said)
	require.True(t, strings.HasPrefix(said, answer), said)
	require.Equal(t, aitbc.TypeChat, job.Type)
	require.Equal(t, "stop", job.Metrics.FinishReason)
	require.Positive(t, job.Metrics.PromptTokens)
	require.Positive(t, job.Metrics.OutputTokens)
	receipt, err := client.Receipt(ctx, job.ID)
	require.NoError(t, err)
	require.NoError(t, aitbc.VerifyReceipt(receipt, []byte(job.Result)))
}
