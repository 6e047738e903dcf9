package ollamafake

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
)

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	messages, _ := body["messages"].([]any)
	words, last := 0, ""
	for _, m := range messages {
		message, _ := m.(map[string]any)
		last, _ = message["content"].(string)
		words += len(strings.Fields(last))
	}
	script := s.note(body, last)
	switch {
	case script != nil:
		script(w, r)
	case s.refused(w, body, words):
	default:
		stream(w, words, limit(body), ChatChunk, ChatDone)
	}
}

// ChatChunk writes one piece of an answer to a chat.
func ChatChunk(w http.ResponseWriter, text string) {
	ChatMessage(w, api.Message{Role: "assistant", Content: text})
}

// ChatMessage writes one piece of an answer to a chat, whatever is in it.
func ChatMessage(w http.ResponseWriter, message api.Message) {
	line(w, api.ChatResponse{Model: Model, Message: message})
}

// ChatDone is [Done] of a chat.
func ChatDone(w http.ResponseWriter, promptTokens, outputTokens int) {
	line(w, api.ChatResponse{
		Model: Model, Message: api.Message{Role: "assistant"}, Done: true, DoneReason: reason(outputTokens),
		Metrics: metrics(promptTokens, outputTokens),
	})
}

// embed makes vectors that are alike for like texts only.
func (s *Server) embed(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	began := time.Now()
	inputs, _ := body["input"].([]any)
	response := api.EmbedResponse{Model: Model}
	longest := 0
	for _, i := range inputs {
		input, _ := i.(string)
		words := len(strings.Fields(input))
		longest = max(longest, words)
		response.PromptEvalCount += words
		var sum float32
		for place, char := range input {
			sum += float32(char) / float32(place+1)
		}
		response.Embeddings = append(response.Embeddings, []float32{1, sum})
	}
	s.note(body, "")
	if s.refused(w, body, longest) {
		return
	}
	response.TotalDuration = time.Since(began)
	write(w, response)
}
