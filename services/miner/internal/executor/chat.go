package executor

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ollama/ollama/api"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// chat answers messages. The answer's bytes are the assistant's message as JSON, written as the engine
// speaks, so that who watches sees the beginning of what will be signed.
func (o *Ollama) chat(ctx context.Context, h *hearing) error {
	request, err := chatRequest(h.request)
	if err != nil {
		return &Failure{Reason: Rejected, Message: "the chat cannot be put to the engine", Err: err}
	}
	w := messageWriter{say: h.say}
	err = o.client.Chat(ctx, request, func(chunk api.ChatResponse) error {
		h.tick(chunk.Done)
		if err := w.add(chunk.Message); err != nil {
			return err
		}
		if !chunk.Done {
			return nil
		}
		if err := w.end(); err != nil {
			return err
		}
		if err := h.done(chunk.Metrics, chunk.DoneReason); err != nil {
			return err
		}
		if len(w.calls) > 0 {
			h.answer.FinishReason = FinishToolCalls
		}
		return nil
	})
	if !w.ended { // so that what was said until now is a message, too
		if e := w.end(); err == nil {
			err = e
		}
	}
	return err
}

func chatRequest(r Request) (*api.ChatRequest, error) {
	chat, err := aitbc.ParseChat(r.Prompt)
	if err != nil {
		return nil, err
	}
	stream, no := true, false
	request := &api.ChatRequest{
		Model: r.Model, Stream: &stream, Truncate: &no, Shift: &no, Format: format(r.Options), Options: values(r.Options),
	}
	for _, m := range chat.Messages {
		message := api.Message{Role: m.Role, Content: m.Content, Thinking: m.Thinking, ToolName: m.ToolName, ToolCallID: m.ToolCallID}
		for _, image := range m.Images {
			message.Images = append(message.Images, image)
		}
		for i, call := range m.ToolCalls {
			function := api.ToolCallFunction{Index: i, Name: call.Name}
			if err := json.Unmarshal([]byte(call.Arguments), &function.Arguments); err != nil {
				return nil, fmt.Errorf("arguments of %s: %w", call.Name, err)
			}
			message.ToolCalls = append(message.ToolCalls, api.ToolCall{ID: call.ID, Function: function})
		}
		request.Messages = append(request.Messages, message)
	}
	for _, t := range chat.Tools {
		tool := api.Tool{Type: "function", Function: api.ToolFunction{
			Name: t.Name, Description: t.Description, Parameters: api.ToolFunctionParameters{Type: "object"},
		}}
		if t.Parameters != "" {
			if err := json.Unmarshal([]byte(t.Parameters), &tool.Function.Parameters); err != nil {
				return nil, fmt.Errorf("parameters of %s: %w", t.Name, err)
			}
		}
		request.Tools = append(request.Tools, tool)
	}
	return request, nil
}

// messageWriter writes the assistant's message as JSON while it is made:
//
//	{"role":"assistant","thinking":"...","content":"...","tool_calls":[...]}
//
// thinking only when there is some. Tool calls come whole from the engine and are written at the end.
type messageWriter struct {
	say   func(piece, ending string) error
	open  string // the member whose text is not ended
	said  bool   // content has begun: thinking cannot any more
	begun bool
	ended bool
	calls []aitbc.ChatToolCall
}

func (w *messageWriter) add(m api.Message) error {
	for _, call := range m.ToolCalls {
		arguments, err := json.Marshal(call.Function.Arguments)
		if err != nil {
			return fmt.Errorf("arguments of %s: %w", call.Function.Name, err)
		}
		w.calls = append(w.calls, aitbc.ChatToolCall{ID: call.ID, Name: call.Function.Name, Arguments: string(arguments)})
	}
	piece := ""
	if m.Thinking != "" && !w.said {
		piece += w.text("thinking", m.Thinking)
	}
	if m.Content != "" {
		w.said = true
		piece += w.text("content", m.Content)
	}
	return w.say(piece, w.ending())
}

// ending gives what would end the message here. Tool calls are no part of it: they come whole, with the
// end.
func (w *messageWriter) ending() string {
	rest := *w
	piece := ""
	if !rest.said {
		piece = rest.text("content", "")
	}
	return piece + rest.close() + "}"
}

// text goes on with a member, which it begins when another one is open.
func (w *messageWriter) text(member, text string) string {
	piece := ""
	if w.open != member {
		piece = w.close() + `,"` + member + `":"`
		w.open = member
	}
	return piece + aitbc.CanonicalText(text)
}

// close ends the member that is open; the message has begun behind it.
func (w *messageWriter) close() string {
	switch {
	case w.open != "":
		w.open = ""
		return `"`
	case !w.begun:
		w.begun = true
		return `{"role":"assistant"`
	default:
		return ""
	}
}

// end ends the message. Content is always there, be it empty.
func (w *messageWriter) end() error {
	w.ended = true
	piece := w.ending()
	if len(w.calls) > 0 {
		calls, err := json.Marshal(w.calls)
		if err != nil {
			return fmt.Errorf("write tool calls: %w", err)
		}
		piece = piece[:len(piece)-1] + `,"tool_calls":` + string(calls) + "}"
	}
	return w.say(piece, "")
}
