// Command openai uses OpenAI's own Go package, unmodified, against an AITBC network: only base URL and
// key, which the package reads from OPENAI_BASE_URL and OPENAI_API_KEY, differ from what its users
// write. It prints what it got as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	found, err := ask(context.Background(), openai.NewClient(), os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// found is what came of the calls.
type found struct {
	Chat, Job, Streamed, Completion string
	TotalTokens, StreamedTokens     int64
	Embeddings                      []int
	Models                          []string
	Refusal                         refusal
}

type refusal struct {
	Status     int
	Code, Type string
}

func ask(ctx context.Context, client openai.Client, question string) (found, error) {
	var f found
	params := openai.ChatCompletionNewParams{
		Model: "tiny", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)}, Temperature: openai.Float(0),
	}
	var response *http.Response
	chat, err := client.Chat.Completions.New(ctx, params, option.WithResponseInto(&response))
	if err != nil {
		return f, fmt.Errorf("chat: %w", err)
	}
	f.Chat, f.TotalTokens, f.Job = chat.Choices[0].Message.Content, chat.Usage.TotalTokens, response.Header.Get("Aitbc-Job-Id")

	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := client.Chat.Completions.NewStreaming(ctx, params)
	sum := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		if !sum.AddChunk(stream.Current()) {
			return f, errors.New("a chunk does not belong to the others")
		}
	}
	if err := stream.Err(); err != nil {
		return f, fmt.Errorf("streamed chat: %w", err)
	}
	f.Streamed, f.StreamedTokens = sum.Choices[0].Message.Content, sum.Usage.TotalTokens

	completion, err := client.Completions.New(ctx, openai.CompletionNewParams{
		Model: "tiny", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String(question)}, Temperature: openai.Float(0),
	})
	if err != nil {
		return f, fmt.Errorf("completion: %w", err)
	}
	f.Completion = completion.Choices[0].Text

	embeddings, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: "tiny", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{question, "A cat."}},
	})
	if err != nil {
		return f, fmt.Errorf("embeddings: %w", err)
	}
	for _, vector := range embeddings.Data {
		f.Embeddings = append(f.Embeddings, len(vector.Embedding))
	}
	for models := client.Models.ListAutoPaging(ctx); models.Next(); {
		f.Models = append(f.Models, models.Current().ID)
	}

	params.Model, params.StreamOptions = "no-such-model", openai.ChatCompletionStreamOptionsParam{}
	_, err = client.Chat.Completions.New(ctx, params)
	var refused *openai.Error
	if !errors.As(err, &refused) {
		return f, fmt.Errorf("a model that nobody has was not refused: %w", err)
	}
	f.Refusal = refusal{refused.StatusCode, refused.Code, refused.Type}
	return f, nil
}
