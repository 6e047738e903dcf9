// Package fakeengine is an HTTP server with the part of Ollama's API that a miner uses, and one model.
// It computes nothing: it is for what must be measured or broken around the engine, thousands of
// times, where a real one would be the bottleneck. It is never the proof that the product works with an
// engine: tests/e2e has a real one. Start with Engine.
package fakeengine

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// Model is the one model it has.
	Model = "parrot:latest"
	// Digest is that model's.
	Digest = "5b1e4d1d0a4c1d9a6d1f3d8f1f4b8a0d6c5f1e2d3c4b5a697887766554433221"
)

// Engine answers each prompt with its words in upper case, or as its fields say. The prompt can ask for
// trouble: one with "fail" gets an error, one with "cut" a stream that ends early.
type Engine struct {
	// Delay is how long an answer takes before its first token, TokenPace between tokens.
	Delay, TokenPace time.Duration
	// Answer is said in place of the prompt's words; empty: those.
	Answer string
	// Generations counts the answers that were begun.
	Generations atomic.Int64
}

var _ http.Handler = (*Engine)(nil)

// ServeHTTP implements http.Handler.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	model := []any{map[string]any{"name": Model, "model": Model, "digest": Digest, "size": 1000}}
	switch r.URL.Path {
	case "/api/version":
		write(w, map[string]any{"version": "0.17.4"})
	case "/api/tags", "/api/ps":
		write(w, map[string]any{"models": model})
	case "/api/generate":
		e.generate(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (e *Engine) generate(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Prompt string `json:"prompt"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.Generations.Add(1)
	if !pause(r, e.Delay) {
		return
	}
	if strings.Contains(request.Prompt, "fail") {
		w.WriteHeader(http.StatusInternalServerError)
		write(w, map[string]any{"error": "the engine was asked to fail"})
		return
	}
	answer := e.Answer
	if answer == "" {
		answer = strings.ToUpper(request.Prompt)
	}
	words := strings.SplitAfter(answer, " ")
	if e.TokenPace == 0 {
		words = []string{answer}
	}
	for _, word := range words {
		write(w, map[string]any{"model": Model, "response": word})
		if e.TokenPace > 0 && (http.NewResponseController(w).Flush() != nil || !pause(r, e.TokenPace)) {
			return
		}
	}
	if strings.Contains(request.Prompt, "cut") {
		return
	}
	write(w, map[string]any{
		"model": Model, "done": true, "prompt_eval_count": 1, "eval_count": len(words),
		"prompt_eval_duration": time.Millisecond, "eval_duration": max(time.Millisecond, e.Delay+time.Duration(len(words))*e.TokenPace),
	})
}

// pause waits; false: the caller has gone.
func pause(r *http.Request, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// write sends one line; a caller that is gone is noticed elsewhere.
func write(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }
