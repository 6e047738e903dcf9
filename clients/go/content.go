package aitbc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The types of jobs.
const (
	// TypeInference continues a prompt.
	TypeInference = "inference"
	// TypeChat answers messages.
	TypeChat = "chat"
	// TypeEmbedding makes vectors of texts.
	TypeEmbedding = "embedding"
)

// MaxContent bounds what a job asks, in bytes, as [Payload] has it.
const MaxContent = 1 << 20

// Chat is what a job of [TypeChat] asks.
type Chat struct {
	// Messages are the conversation, the oldest first.
	Messages []ChatMessage `json:"messages"`
	// Tools are what the model may want called.
	Tools []ChatTool `json:"tools,omitempty"`
}

// ChatMessage is one message. The answer of a chat is the assistant's.
type ChatMessage struct {
	// Role is who speaks: "system", "user", "assistant" or "tool".
	Role string `json:"role"`
	// Content is what is said.
	Content string `json:"content,omitempty"`
	// Thinking is what the assistant thought, apart from what it said.
	Thinking string `json:"thinking,omitempty"`
	// Images are whole picture files.
	Images [][]byte `json:"images,omitempty"`
	// ToolCalls are what the assistant wants called.
	ToolCalls []ChatToolCall `json:"tool_calls,omitempty"`
	// ToolName and ToolCallID say, in a message of a tool, which tool speaks and which call it answers.
	ToolName   string `json:"tool_name,omitempty"`
	ToolCallID string `json:"tool_call_id,omitempty"`
}

// ChatToolCall is a call that the assistant wants made.
type ChatToolCall struct {
	// ID names the call; it may be empty.
	ID string `json:"id,omitempty"`
	// Name is the tool's.
	Name string `json:"name"`
	// Arguments is the text of a JSON object.
	Arguments string `json:"arguments"`
}

// ChatTool is a function that the model may want called.
type ChatTool struct {
	// Name is the function's.
	Name string `json:"name"`
	// Description says what it does.
	Description string `json:"description,omitempty"`
	// Parameters is the text of the JSON schema of its arguments; empty: it takes none.
	Parameters string `json:"parameters,omitempty"`
}

// Content gives the chat's one encoding: what is committed to, stored, and sent to the miner. It is
// canonical JSON (RFC 8785) of the contract's fields that are set. Errors: [ErrMalformed] for a text
// that is not UTF-8.
func (c Chat) Content() (string, error) {
	w := contentWriter{}
	w.object(func() {
		w.list("messages", len(c.Messages), func(i int) { w.message(c.Messages[i]) })
		w.list("tools", len(c.Tools), func(i int) {
			t := c.Tools[i]
			w.object(func() {
				w.optional("description", t.Description)
				w.text("name", t.Name)
				w.optional("parameters", t.Parameters)
			})
		})
	})
	return w.content()
}

// ParseChat reads a chat's content. Errors: [ErrMalformed], also for a JSON text that Content would
// have written otherwise.
func ParseChat(content string) (Chat, error) {
	var c Chat
	err := parseContent(content, &c, func() (string, error) { return c.Content() })
	return c, err
}

// EmbeddingContent gives the one encoding of what a job of [TypeEmbedding] asks: a canonical JSON
// list of the texts. Errors: [ErrMalformed] for a text that is not UTF-8.
func EmbeddingContent(inputs []string) (string, error) {
	w := contentWriter{}
	w.items(len(inputs), func(i int) { w.value(inputs[i]) })
	return w.content()
}

// ParseEmbedding reads an embedding's content. Errors: [ErrMalformed].
func ParseEmbedding(content string) ([]string, error) {
	var inputs []string
	err := parseContent(content, &inputs, func() (string, error) { return EmbeddingContent(inputs) })
	return inputs, err
}

// ParseAnswer reads the result of a chat. Errors: [ErrMalformed].
func ParseAnswer(result string) (ChatMessage, error) {
	var m ChatMessage
	if err := decodeStrictly(result, &m); err != nil {
		return m, err
	}
	if m.Role != "assistant" {
		return m, fmt.Errorf("read an answer: %w: it is of the role %q", ErrMalformed, m.Role)
	}
	return m, nil
}

// ParseVectors reads the result of an embedding: a vector for each input. Errors: [ErrMalformed].
func ParseVectors(result string) ([][]float32, error) {
	var vectors [][]float32
	err := decodeStrictly(result, &vectors)
	return vectors, err
}

func parseContent(content string, into any, write func() (string, error)) error {
	if err := decodeStrictly(content, into); err != nil {
		return err
	}
	if again, err := write(); err != nil || again != content {
		return fmt.Errorf("read content: %w: it is not canonical", ErrMalformed)
	}
	return nil
}

func decodeStrictly(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = fmt.Errorf("something follows")
	}
	if err != nil {
		return fmt.Errorf("read content: %w: %w", ErrMalformed, err)
	}
	return nil
}

// contentWriter writes canonical JSON. Names come in their sorted order from the caller.
type contentWriter struct {
	buf bytes.Buffer
	err error
	// separate says that the next member or item follows another one.
	separate bool
}

func (w *contentWriter) message(m ChatMessage) {
	w.object(func() {
		w.optional("content", m.Content)
		w.list("images", len(m.Images), func(i int) { w.value(base64.StdEncoding.EncodeToString(m.Images[i])) })
		w.text("role", m.Role)
		w.optional("thinking", m.Thinking)
		w.optional("tool_call_id", m.ToolCallID)
		w.list("tool_calls", len(m.ToolCalls), func(i int) {
			call := m.ToolCalls[i]
			w.object(func() {
				w.text("arguments", call.Arguments)
				w.optional("id", call.ID)
				w.text("name", call.Name)
			})
		})
		w.optional("tool_name", m.ToolName)
	})
}

func (w *contentWriter) content() (string, error) {
	if w.err != nil {
		return "", fmt.Errorf("write content: %w", w.err)
	}
	return w.buf.String(), nil
}

func (w *contentWriter) object(members func()) {
	w.between('{', '}', members)
}

func (w *contentWriter) between(start, end byte, inner func()) {
	w.comma()
	w.buf.WriteByte(start)
	w.separate = false
	inner()
	w.buf.WriteByte(end)
	w.separate = true
}

func (w *contentWriter) comma() {
	if w.separate {
		w.buf.WriteByte(',')
	}
}

// name begins a member.
func (w *contentWriter) name(name string) {
	w.value(name)
	w.buf.WriteByte(':')
	w.separate = false
}

// list writes a member that is a list, unless it is empty.
func (w *contentWriter) list(name string, n int, item func(i int)) {
	if n > 0 {
		w.name(name)
		w.items(n, item)
	}
}

func (w *contentWriter) items(n int, item func(i int)) {
	w.between('[', ']', func() {
		for i := range n {
			item(i)
		}
	})
}

func (w *contentWriter) text(name, value string) {
	w.name(name)
	w.value(value)
}

func (w *contentWriter) optional(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *contentWriter) value(text string) {
	if !utf8.ValidString(text) {
		w.err = fmt.Errorf("%w: text is not UTF-8", ErrMalformed)
	}
	w.comma()
	w.buf.Write(appendCanonicalText(w.buf.AvailableBuffer(), text))
	w.separate = true
}
