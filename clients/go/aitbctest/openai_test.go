package aitbctest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

// post makes a call as OpenAI's clients do.
func post(t *testing.T, server *aitbctest.Server, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL()+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+aitbctest.APIKey)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

func TestOpenAIsAPI(t *testing.T) {
	t.Parallel()
	server, err := aitbctest.Start(aitbctest.Config{Answer: func(ctx context.Context, req aitbc.SubmitRequest) (aitbctest.Answer, error) {
		if req.Model == "broken" {
			return aitbctest.Answer{}, &aitbc.JobError{Reason: "ENGINE_ERROR", Message: "the engine broke"}
		}
		return aitbctest.SeedAnswer(ctx, req)
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	const seed = "Machine learning is a subset of artificial intelligence..."

	code, text := post(t, server, "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hello"}]}`)
	require.Equal(t, http.StatusOK, code, text)
	var chat struct {
		Choices []struct {
			Message struct{ Role, Content string }
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &chat))
	require.Equal(t, seed, chat.Choices[0].Message.Content)
	require.Equal(t, "assistant", chat.Choices[0].Message.Role)
	require.Equal(t, 165, chat.Usage.Total)

	_, text = post(t, server, "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true}`)
	require.Regexp(t, `^data: .*"delta":\{"content":"Machine learning.*"object":"chat.completion.chunk".*\n\ndata: \[DONE\]\n\n$`, text)
	_, text = post(t, server, "/v1/completions", `{"model":"m","prompt":"p"}`)
	require.Contains(t, text, `"text":"`+seed)
	_, text = post(t, server, "/v1/embeddings", `{"model":"m","input":["a","b"]}`)
	require.Equal(t, 2, strings.Count(text, `"embedding":[0.5,-0.25]`))
	_, text = post(t, server, "/v1/embeddings", `{"model":"m","input":"a","encoding_format":"base64"}`)
	require.Contains(t, text, `"embedding":"AAAAPwAAgL4="`)

	code, text = post(t, server, "/v1/completions", `{"model":"m","prompt":""}`)
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, text, `"reason":"INVALID_FIELD"`)
	code, text = post(t, server, "/v1/completions", `{"model":"m","prompt":"p","max_price":"1000aitbc"}`)
	require.Equal(t, http.StatusPaymentRequired, code)
	require.Contains(t, text, `"reason":"INSUFFICIENT_FUNDS"`)
	code, text = post(t, server, "/v1/completions", `{"model":"broken","prompt":"p"}`)
	require.GreaterOrEqual(t, code, 400)
	require.Contains(t, text, `"reason":"ENGINE_ERROR"`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL()+"/v1/models", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+aitbctest.APIKey)
	models, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer models.Body.Close()
	require.Equal(t, http.StatusOK, models.StatusCode)
}
