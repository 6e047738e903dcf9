// Package ollamafake is an HTTP server that speaks the part of Ollama's API that a miner uses, for
// the failures that a real engine cannot be made to show at will.
//
// Invariant: what it does without a script is held to the same suite as a real engine
// (executortest), so that it cannot drift from the truth. A script replaces the answer to one
// prompt. Start at [Start].
package ollamafake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/require"
)

const (
	// Model is the one model it has.
	Model = "parrot:latest"
	// Digest is that model's.
	Digest = "5b1e4d1d0a4c1d9a6d1f3d8f1f4b8a0d6c5f1e2d3c4b5a697887766554433221"
	// Version is what it calls itself.
	Version = "0.17.4"

	contextWords = 512
	answer       = "The parrot says what it was told to say and then it stops ."
)

// Script answers one generate call in place of the fake.
type Script func(w http.ResponseWriter, r *http.Request)

// Server is a running fake.
type Server struct {
	url *url.URL

	mu       sync.Mutex
	scripts  map[string]Script
	requests []map[string]any
	warm     bool
	absent   bool
}

// Start starts a fake that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{scripts: map[string]Script{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		write(w, map[string]string{"version": Version})
	})
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		write(w, api.ListResponse{Models: s.models()})
	})
	mux.HandleFunc("GET /api/ps", s.loaded)
	mux.HandleFunc("POST /api/generate", s.generate)
	mux.HandleFunc("POST /api/chat", s.chat)
	mux.HandleFunc("POST /api/embed", s.embed)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	s.url = base
	return s
}

// URL is the fake's base URL.
func (s *Server) URL() *url.URL { return s.url }

// OnPrompt has the script answer that prompt, or that last message of a chat.
func (s *Server) OnPrompt(prompt string, script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[prompt] = script
}

// RemoveModel makes the model vanish.
func (s *Server) RemoveModel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = true
}

// Requests gives the bodies of all generate calls.
func (s *Server) Requests() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]map[string]any(nil), s.requests...)
}

func (s *Server) models() []api.ListModelResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.absent {
		return nil
	}
	return []api.ListModelResponse{
		{Name: Model, Model: Model, Digest: Digest, Size: 1000},
		{Name: "elsewhere:latest", Digest: Digest, RemoteHost: "https://models.example"},
	}
}

func (s *Server) loaded(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list api.ProcessResponse
	if s.warm {
		list.Models = []api.ProcessModelResponse{{Name: Model, Model: Model, Digest: Digest}}
	}
	write(w, list)
}

func (s *Server) generate(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	prompt, _ := body["prompt"].(string)
	script := s.note(body, prompt)
	words := len(strings.Fields(prompt))
	switch {
	case script != nil:
		script(w, r)
	case s.refused(w, body, words):
	default:
		stream(w, words, limit(body), Chunk, Done)
	}
}

// refused answers what a real engine refuses.
func (s *Server) refused(w http.ResponseWriter, body map[string]any, words int) bool {
	model, _ := body["model"].(string)
	switch {
	case len(s.models()) == 0 || strings.TrimSuffix(model, ":latest")+":latest" != Model:
		refuse(w, http.StatusNotFound, fmt.Sprintf("model '%s' not found", model))
	case words > contextWords:
		refuse(w, http.StatusBadRequest, "the input length exceeds the context length")
	case isNonsense(body["format"]):
		refuse(w, http.StatusInternalServerError, "invalid JSON schema in format")
	case body["tools"] != nil:
		refuse(w, http.StatusBadRequest, "registry.ollama.ai/library/"+Model+" does not support tools")
	default:
		return false
	}
	return true
}

// isNonsense knows schemas of a type that JSON does not have.
func isNonsense(format any) bool {
	schema, _ := format.(map[string]any)
	return schema["type"] == "nonsense"
}

// note keeps a request and gives the script for its prompt.
func (s *Server) note(body map[string]any, prompt string) Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, body)
	s.warm = true
	return s.scripts[prompt]
}

func limit(body map[string]any) int {
	options, _ := body["options"].(map[string]any)
	n, ok := options["num_predict"].(float64)
	if !ok {
		return len(answer)
	}
	return int(n)
}

func stream(w http.ResponseWriter, promptWords, limit int, chunk func(http.ResponseWriter, string), done func(http.ResponseWriter, int, int)) {
	words := strings.SplitAfter(answer, " ")
	words = words[:min(limit, len(words))]
	for _, word := range words {
		chunk(w, word)
	}
	done(w, promptWords, len(words))
}

// Hang says something and then nothing until the caller goes away.
func Hang(texts ...string) Script {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, text := range texts {
			Chunk(w, text)
		}
		<-r.Context().Done()
	}
}

// Chunk writes one piece of an answer.
func Chunk(w http.ResponseWriter, text string) {
	line(w, api.GenerateResponse{Model: Model, Response: text})
}

// Done ends an answer, one that is shorter than the fake's own at its limit. It claims a microsecond of
// compute for each token.
func Done(w http.ResponseWriter, promptTokens, outputTokens int) {
	line(w, api.GenerateResponse{Model: Model, Done: true, DoneReason: reason(outputTokens), Metrics: metrics(promptTokens, outputTokens)})
}

func metrics(promptTokens, outputTokens int) api.Metrics {
	return api.Metrics{
		PromptEvalCount: promptTokens, PromptEvalDuration: time.Duration(promptTokens) * time.Microsecond,
		EvalCount: outputTokens, EvalDuration: time.Duration(outputTokens) * time.Microsecond,
	}
}

func reason(outputTokens int) string {
	if outputTokens < len(strings.Fields(answer)) {
		return "length"
	}
	return "stop"
}

// ErrorLine writes what the engine writes when it fails in mid-stream.
func ErrorLine(w http.ResponseWriter, text string) { line(w, map[string]string{"error": text}) }

func line(w http.ResponseWriter, value any) {
	write(w, value)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	write(w, map[string]string{"error": text})
}

// write ignores the error: it means that the client went away, which is its right.
func write(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }
