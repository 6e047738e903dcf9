package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/internal/debian"
)

func chatBody(more map[string]any) map[string]any {
	body := map[string]any{
		"model": "tiny", "temperature": 0, "messages": []any{map[string]any{"role": "user", "content": question}},
	}
	for name, value := range more {
		body[name] = value
	}
	return body
}

// openAI posts to OpenAI's API as its clients do.
func openAI(t *testing.T, n *network.Network, path string, body map[string]any, headers ...string) answerOf {
	t.Helper()
	return call(t, n, http.MethodPost, path, body, append([]string{"Authorization", "Bearer " + clientKey}, headers...)...)
}

// at reads a value deep in an answer: names of members, indices of lists.
func at(t *testing.T, value any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = value.(map[string]any)[step]
		case int:
			require.Greater(t, len(value.([]any)), step, "%v", value)
			value = value.([]any)[step]
		}
	}
	return value
}

func TestAChatIsAJobWithAReceipt(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)

	a := openAI(t, n, "/v1/chat/completions", chatBody(nil), "Idempotency-Key", "once")
	require.Equal(t, http.StatusOK, a.Status, "%v", a.Body)
	text := at(t, a.Body, "choices", 0, "message", "content")
	require.NotEmpty(t, text)
	require.Equal(t, "assistant", at(t, a.Body, "choices", 0, "message", "role"))
	id := a.Header.Get("Aitbc-Job-Id")
	job := awaitStatus(t, n, id, "completed")
	require.Equal(t, a.Header.Get("Aitbc-Receipt-Id"), job.text("receipt_id"))
	require.Equal(t, a.Header.Get("Aitbc-Cost"), job.text("cost"))
	require.Equal(t, a.Header.Get("Aitbc-Miner-Id"), job.text("miner_id"))
	require.Equal(t, a.Header.Get("Aitbc-Model-Digest"), job.text("model_digest"))
	require.Equal(t, "1", a.Header.Get("Aitbc-Attempt"))

	again := openAI(t, n, "/v1/chat/completions", chatBody(nil), "Idempotency-Key", "once")
	require.Equal(t, "settled", again.Header.Get("Aitbc-Receipt-State"))
	delete(a.Body, "aitbc")
	delete(again.Body, "aitbc")
	require.Equal(t, a.Body, again.Body, "the same request, the same answer")
	other := openAI(t, n, "/v1/chat/completions", chatBody(map[string]any{"temperature": 1}), "Idempotency-Key", "once")
	require.Equal(t, http.StatusConflict, other.Status)
	require.Equal(t, "IDEMPOTENCY_MISMATCH", at(t, other.Body, "error", "reason"))
	jobs := call(t, n, http.MethodGet, "/v1/jobs", nil, asClient()...)
	require.Len(t, jobs.Body["jobs"], 1, "nothing was paid twice")
}

func TestAnOpenAIStreamByCurl(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	curl, err := debian.Program(t.Context(), "curl", "curl")
	require.NoError(t, err)
	body, err := json.Marshal(chatBody(map[string]any{"stream": true, "stream_options": map[string]any{"include_usage": true}}))
	require.NoError(t, err)

	out := execute(t, nil, curl, "-sN", "-H", "Authorization: Bearer "+clientKey, "-H", "Content-Type: application/json",
		"-d", string(body), "http://"+n.CoordinatorREST+"/v1/chat/completions")

	require.Zero(t, out.Code, out.Stderr)
	events := strings.Split(strings.TrimSpace(out.Stdout), "\n\n")
	require.Equal(t, "data: [DONE]", events[len(events)-1])
	said, finish := "", ""
	var last map[string]any
	for _, event := range events[:len(events)-1] {
		last = nil
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &last), event)
		require.Equal(t, "chat.completion.chunk", last["object"])
		for _, choice := range last["choices"].([]any) {
			if delta, ok := at(t, choice, "delta", "content").(string); ok {
				said += delta
			}
			if reason, ok := at(t, choice, "finish_reason").(string); ok {
				finish = reason
			}
		}
	}
	require.Equal(t, "stop", finish)
	require.Empty(t, last["choices"])
	require.Positive(t, at(t, last, "usage", "total_tokens"))
	id := at(t, last, "aitbc", "job_id").(string)
	require.Contains(t, awaitStatus(t, n, id, "completed").text("result"), said)
	require.NotEmpty(t, said)
}

func TestAnOpenAIStreamEndsWhenItsAttemptDies(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)
	body, err := json.Marshal(map[string]any{"model": "tiny", "prompt": question, "temperature": 0, "stream": true})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.CoordinatorREST+"/v1/completions", strings.NewReader(string(body)))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+clientKey)
	drops.drip(3)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	id := response.Header.Get("Aitbc-Job-Id")
	read := newEventLines(response.Body)
	require.Contains(t, read(), `"text_completion"`)

	engine.set(answersError) // for the next attempt
	engine.CloseClientConnections()

	last := ""
	for event := read(); event != ""; event = read() {
		last = event
	}
	var failed map[string]any
	require.NoError(t, json.Unmarshal([]byte(last), &failed), last)
	require.NotEmpty(t, at(t, failed, "error", "reason"), "two answers are never mixed")
	job := awaitEnd(t, n, id)
	require.NotEqual(t, "completed", job.text("status"))
	require.Equal(t, "0aitbc", job.text("cost"))
	requireConserved(t, n)
}

func TestAnAnswerThatNobodyWaitsForIsCancelled(t *testing.T) {
	t.Parallel()
	engine := newFaultyEngine(t)
	engine.set(hangs)
	n := start(t, engine.URL)
	curl, err := debian.Program(t.Context(), "curl", "curl")
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), curl, "-sN", "-H", "Authorization: Bearer "+clientKey,
		"-d", `{"model":"tiny","prompt":"Wait."}`, "http://"+n.CoordinatorREST+"/v1/completions")
	require.NoError(t, command.Start())
	eventually(t, "the engine to be asked", func() bool { return engine.generations.Load() > 0 })

	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())

	jobs := call(t, n, http.MethodGet, "/v1/jobs", nil, asClient()...)
	require.Equal(t, "cancelled", awaitEnd(t, n, at(t, jobs.Body, "jobs", 0, "job_id").(string)).text("status"))
}

func TestOpenAIsErrorsNameTheirReason(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	for name, c := range map[string]struct {
		body         map[string]any
		status       int
		reason, code string
		param        any
	}{
		"an unknown field":      {chatBody(map[string]any{"temprature": 1}), 400, "INVALID_FIELD", "invalid_field", "temprature"},
		"two answers":           {chatBody(map[string]any{"n": 2}), 400, "INVALID_FIELD", "invalid_field", "n"},
		"a wrong type":          {chatBody(map[string]any{"max_tokens": "many"}), 400, "INVALID_FIELD", "invalid_field", "max_tokens"},
		"out of range":          {chatBody(map[string]any{"top_p": 7}), 400, "INVALID_FIELD", "invalid_field", "top_p"},
		"no messages":           {map[string]any{"model": "tiny"}, 400, "INVALID_FIELD", "invalid_field", "messages"},
		"more than there is":    {chatBody(map[string]any{"max_price": "99999999aitbc"}), 402, "INSUFFICIENT_FUNDS", "insufficient_quota", nil},
		"a picture from afar":   {chatBody(map[string]any{"messages": []any{map[string]any{"role": "user", "content": []any{map[string]any{"type": "image_url", "image_url": map[string]any{"url": "http://example.org/a.png"}}}}}}), 400, "INVALID_FIELD", "invalid_field", "messages[0]"},
		"what asks for nothing": {chatBody(map[string]any{"n": 2, "user": "u", "logprobs": false, "stop": nil}), 400, "INVALID_FIELD", "invalid_field", "n"},
	} {
		a := openAI(t, n, "/v1/chat/completions", c.body)
		require.Equal(t, c.status, a.Status, "%s: %v", name, a.Body)
		require.Equal(t, c.reason, at(t, a.Body, "error", "reason"), name)
		require.Equal(t, c.code, at(t, a.Body, "error", "code"), name)
		require.Equal(t, c.param, at(t, a.Body, "error", "param"), name)
	}
	noKey := call(t, n, http.MethodPost, "/v1/chat/completions", chatBody(nil))
	require.Equal(t, http.StatusUnauthorized, noKey.Status)
	require.Equal(t, "invalid_api_key", at(t, noKey.Body, "error", "code"))
	get := call(t, n, http.MethodGet, "/v1/embeddings", nil, "Authorization", "Bearer "+clientKey)
	require.Equal(t, http.StatusMethodNotAllowed, get.Status)
	model := call(t, n, http.MethodGet, "/v1/models/no-such-model", nil, "Authorization", "Bearer "+clientKey)
	require.Equal(t, "model_not_found", at(t, model.Body, "error", "code"))
}

// openAIClient runs an unmodified client of OpenAI's and gives what it printed.
func openAIClient(t *testing.T, n *network.Network, dir, program string, args ...string) map[string]any {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, append(args, question)...)
	command.Dir = dir
	command.Env = append(os.Environ(), "OPENAI_BASE_URL=http://"+n.CoordinatorREST+"/v1", "OPENAI_API_KEY="+clientKey)
	out, err := command.Output()
	var ended *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &ended)
		require.NoError(t, err, "%s", ended.Stderr)
	}
	t.Logf("%s: %s", program, out)
	var found map[string]any
	require.NoError(t, json.Unmarshal(out, &found), "%s", out)
	return found
}

func TestOpenAIsNodePackage(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	node, err := debian.Program(t.Context(), "node", "nodejs")
	require.NoError(t, err)
	npm, err := debian.Program(t.Context(), "npm", "npm")
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "client.mjs"} {
		content, err := os.ReadFile(filepath.Join("../openai/node", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	installed := execute(t, nil, npm, "ci", "--prefix", dir, "--no-audit", "--no-fund")
	require.Zero(t, installed.Code, installed.Stdout+installed.Stderr)

	found := openAIClient(t, n, dir, node, "client.mjs")

	require.NotEmpty(t, at(t, found, "chat", "content"))
	require.Equal(t, at(t, found, "chat", "content"), found["streamed"])
	require.Equal(t, at(t, found, "chat", "content"), found["accumulated"])
	require.Equal(t, at(t, found, "chat", "usage"), found["streamedUsage"])
	require.Equal(t, "length", at(t, found, "completion", "finish"))
	require.Equal(t, "stop", at(t, found, "json", "finish"))
	require.True(t, json.Valid([]byte(at(t, found, "json", "content").(string))), "%v", found["json"])
	require.Len(t, found["embeddings"], 2)
	require.Positive(t, at(t, found, "embeddings", 0))
	require.Equal(t, "tiny:latest", found["model"])
	require.Equal(t, "completed", awaitStatus(t, n, found["job"].(string), "completed").text("status"))
	for name, want := range map[string]map[string]any{
		"key":   {"class": "AuthenticationError", "status": 401.0, "code": "invalid_api_key"},
		"model": {"class": "NotFoundError", "status": 404.0, "code": "model_not_found"},
		"n":     {"class": "BadRequestError", "status": 400.0, "param": "n"},
		"funds": {"class": "APIError", "status": 402.0, "reason": "INSUFFICIENT_FUNDS"},
	} {
		for field, value := range want {
			require.Equal(t, value, at(t, found, "refusals", name, field), name)
		}
	}
}

func TestOpenAIsGoPackage(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)

	found := openAIClient(t, n, "../openai/go", "go", "run", ".")

	require.NotEmpty(t, found["Chat"])
	require.Equal(t, found["Chat"], found["Streamed"])
	require.Equal(t, found["TotalTokens"], found["StreamedTokens"])
	require.Len(t, found["Embeddings"], 2)
	require.Contains(t, found["Models"], "tiny:latest")
	require.Equal(t, "model_not_found", at(t, found, "Refusal", "Code"))
	awaitStatus(t, n, found["Job"].(string), "completed")
}

// newEventLines reads the data of server-sent events; empty: there are no more.
func newEventLines(body io.Reader) func() string {
	lines := bufio.NewScanner(body)
	return func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		return ""
	}
}

// awaitEnd waits until the job has ended, however, and gives it.
func awaitEnd(t *testing.T, n *network.Network, id string) answerOf {
	t.Helper()
	var job answerOf
	eventually(t, "job "+id+" to end", func() bool {
		job = getJob(t, n, id)
		return job.Body["completed_at"] != nil
	})
	return job
}
