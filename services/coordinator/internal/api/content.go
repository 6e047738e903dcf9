package api

import (
	"encoding/json"
	"fmt"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// content gives what a submission asks in its one encoding, which is what is committed to: the prompt
// of an inference as it is.
func content(r *coordinatorv1.SubmitJobRequest) (string, error) {
	if err := onlyOf(r); err != nil {
		return "", err
	}
	text, field := r.GetPrompt(), "prompt"
	var err error
	switch r.GetType() {
	case aitbc.TypeChat:
		field = "messages"
		if text, err = chatContent(r); err != nil {
			return "", err
		}
	case aitbc.TypeEmbedding:
		field = "input"
		text, err = aitbc.EmbeddingContent(r.GetInput())
	}
	if err != nil {
		return "", apierr.InvalidField(field, "must be UTF-8").WithCause(err)
	}
	if len(text) > aitbc.MaxContent {
		return "", apierr.InvalidField(field, "must have at most %d bytes in all, got %d", aitbc.MaxContent, len(text))
	}
	return text, nil
}

// onlyOf refuses the fields that are of another type than the submission's, and asks for its own.
func onlyOf(r *coordinatorv1.SubmitJobRequest) error {
	for _, field := range []struct {
		name, of string
		required bool
		given    int
	}{
		{"prompt", aitbc.TypeInference, true, len(r.GetPrompt())},
		{"messages", aitbc.TypeChat, true, len(r.GetMessages())},
		{"tools", aitbc.TypeChat, false, len(r.GetTools())},
		{"input", aitbc.TypeEmbedding, true, len(r.GetInput())},
	} {
		switch {
		case field.of != r.GetType() && field.given > 0:
			return apierr.InvalidField(field.name, "is for the type %s, this is %s: leave it out", field.of, r.GetType())
		case field.of == r.GetType() && field.required && field.given == 0:
			return apierr.InvalidField(field.name, "must not be empty for the type %s", field.of)
		}
	}
	if r.GetType() == aitbc.TypeEmbedding && r.GetOptions() != nil {
		return apierr.InvalidField("options", "have no meaning for the type %s: leave them out", aitbc.TypeEmbedding)
	}
	return nil
}

func chatContent(r *coordinatorv1.SubmitJobRequest) (string, error) {
	var chat aitbc.Chat
	for i, m := range r.GetMessages() {
		message, err := chatMessage(fmt.Sprintf("messages[%d]", i), m)
		if err != nil {
			return "", err
		}
		chat.Messages = append(chat.Messages, message)
	}
	for i, t := range r.GetTools() {
		if p := t.GetParameters(); p != "" && !isJSONObject(p) {
			return "", apierr.InvalidField(fmt.Sprintf("tools[%d].parameters", i), "must be the text of a JSON object")
		}
		chat.Tools = append(chat.Tools, aitbc.ChatTool{Name: t.GetName(), Description: t.GetDescription(), Parameters: t.GetParameters()})
	}
	return chat.Content()
}

func chatMessage(path string, m *coordinatorv1.ChatMessage) (aitbc.ChatMessage, error) {
	message := aitbc.ChatMessage{
		Role: m.GetRole(), Content: m.GetContent(), Thinking: m.GetThinking(), Images: m.GetImages(),
		ToolName: m.GetToolName(), ToolCallID: m.GetToolCallId(),
	}
	for i, call := range m.GetToolCalls() {
		if !isJSONObject(call.GetArguments()) {
			return message, apierr.InvalidField(fmt.Sprintf("%s.tool_calls[%d].arguments", path, i), "must be the text of a JSON object")
		}
		message.ToolCalls = append(message.ToolCalls, aitbc.ChatToolCall{ID: call.GetId(), Name: call.GetName(), Arguments: call.GetArguments()})
	}
	for _, field := range []struct {
		name, of string
		given    bool
	}{
		{"images", "user", len(m.GetImages()) > 0},
		{"thinking", "assistant", m.GetThinking() != ""},
		{"tool_calls", "assistant", len(m.GetToolCalls()) > 0},
		{"tool_name", "tool", m.GetToolName() != ""},
		{"tool_call_id", "tool", m.GetToolCallId() != ""},
	} {
		if field.given && m.GetRole() != field.of {
			return message, apierr.InvalidField(path+"."+field.name, "is for the role %s, this is %s: leave it out", field.of, m.GetRole())
		}
	}
	if m.GetContent() == "" && m.GetRole() != "tool" && len(m.GetImages())+len(m.GetToolCalls()) == 0 {
		return message, apierr.InvalidField(path+".content", "must not be empty, but beside images or tool calls")
	}
	return message, nil
}

// checkFormat takes the word json and a schema. Whether the engine can follow the schema is the
// engine's to say.
func checkFormat(format string) error {
	if format == "" || format == aitbc.FormatJSON || isJSONObject(format) {
		return nil
	}
	return apierr.InvalidField("options.format", "must be %q or the text of a JSON schema, which is an object", aitbc.FormatJSON)
}

func isJSONObject(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") && json.Valid([]byte(text))
}
