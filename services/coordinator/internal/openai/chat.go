package openai

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// chatRequest is what POST /v1/chat/completions takes.
type chatRequest struct {
	common
	sampling
	Messages            []json.RawMessage `json:"messages"`
	Tools               []chatTool        `json:"tools"`
	ToolChoice          json.RawMessage   `json:"tool_choice"`
	ResponseFormat      *responseFormat   `json:"response_format"`
	MaxCompletionTokens *int32            `json:"max_completion_tokens"`
}

type chatTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// message is one message of a chat, theirs and ours. Of what else clients write into it, such as an
// earlier answer's own fields, nothing matters.
type message struct {
	Role       string     `json:"role"`
	Content    content    `json:"content"`
	Reasoning  string     `json:"reasoning_content"`
	ToolCalls  []toolCall `json:"tool_calls"`
	ToolCallID string     `json:"tool_call_id"`
}

type toolCall struct {
	// Index is for streams only.
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// content is a text, or a list of parts: texts and pictures.
type content struct {
	text   string
	images [][]byte
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *content) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &c.text) == nil {
		return nil
	}
	var parts []struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		ImageURL struct {
			URL string `json:"url"`
		} `json:"image_url"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return errors.New("content must be text or a list of parts")
	}
	for i, part := range parts {
		switch part.Type {
		case "text":
			c.text += part.Text
		case "image_url":
			image, err := dataOf(part.ImageURL.URL)
			if err != nil {
				return fmt.Errorf("content[%d].image_url.url %w", i, err)
			}
			c.images = append(c.images, image)
		default:
			return fmt.Errorf("content[%d].type is %q: only text and image_url are supported", i, part.Type)
		}
	}
	return nil
}

// dataOf reads a data URL. Nothing is fetched from elsewhere: a miner would have to trust it.
func dataOf(url string) ([]byte, error) {
	_, encoded, ok := strings.Cut(url, ";base64,")
	if !ok || !strings.HasPrefix(url, "data:") {
		return nil, errors.New(`must be a data URL, such as "data:image/png;base64,..."`)
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("is not base64")
	}
	return data, nil
}

func readChat(body []byte) (*question, error) {
	var r chatRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.MaxCompletionTokens != nil {
		if r.MaxTokens != nil && *r.MaxTokens != *r.MaxCompletionTokens {
			return nil, apierr.InvalidField("max_tokens", "and max_completion_tokens must be equal, or one be left out")
		}
		r.MaxTokens = r.MaxCompletionTokens
	}
	job := &coordinatorv1.SubmitJobRequest{
		Type: aitbc.TypeChat, Model: r.Model, MaxPrice: r.MaxPrice, ModelDigest: r.ModelDigest, Options: r.options(),
	}
	var err error
	if job.Options.Format, err = r.format(); err != nil {
		return nil, err
	}
	if job.Tools, err = r.tools(); err != nil {
		return nil, err
	}
	if job.Messages, err = messages(r.Messages); err != nil {
		return nil, err
	}
	return r.ask(&question{job: job, model: r.Model, form: &chatForm{}}), nil
}

func (r *chatRequest) format() (string, error) {
	if r.ResponseFormat == nil {
		return "", nil
	}
	switch r.ResponseFormat.Type {
	case "text":
		return "", nil
	case "json_object":
		return aitbc.FormatJSON, nil
	case "json_schema":
		if schema := r.ResponseFormat.JSONSchema.Schema; len(schema) > 0 {
			return string(schema), nil
		}
		return "", apierr.InvalidField("response_format.json_schema.schema", "must be a JSON schema")
	default:
		return "", apierr.InvalidField("response_format.type", "must be text, json_object or json_schema")
	}
}

// tools gives the tools that may be called. Nobody can make a model call one.
func (r *chatRequest) tools() ([]*coordinatorv1.ChatTool, error) {
	switch string(r.ToolChoice) {
	case "", `"auto"`:
	case `"none"`:
		return nil, nil
	default:
		return nil, apierr.InvalidField("tool_choice", `must be "auto" or "none": a model cannot be made to call a tool`)
	}
	var tools []*coordinatorv1.ChatTool
	for i, t := range r.Tools {
		if t.Type != "function" {
			return nil, apierr.InvalidField(fmt.Sprintf("tools[%d].type", i), "must be function")
		}
		tools = append(tools, &coordinatorv1.ChatTool{
			Name: t.Function.Name, Description: t.Function.Description, Parameters: string(t.Function.Parameters),
		})
	}
	return tools, nil
}

func messages(given []json.RawMessage) ([]*coordinatorv1.ChatMessage, error) {
	var all []*coordinatorv1.ChatMessage
	tools := map[string]string{} // names by the ids of their calls
	for i, raw := range given {
		path := fmt.Sprintf("messages[%d]", i)
		var m message
		if fault := faultOf(json.Unmarshal(raw, &m)); fault != "" {
			return nil, apierr.InvalidField(path, "%s", fault)
		}
		if m.Role == "developer" { // what OpenAI calls system now
			m.Role = "system"
		}
		out := &coordinatorv1.ChatMessage{Role: m.Role, Content: m.Content.text, Thinking: m.Reasoning, Images: m.Content.images, ToolCallId: m.ToolCallID}
		for _, call := range m.ToolCalls {
			tools[call.ID] = call.Function.Name
			arguments := call.Function.Arguments
			if strings.TrimSpace(arguments) == "" {
				arguments = "{}"
			}
			out.ToolCalls = append(out.ToolCalls, &coordinatorv1.ChatToolCall{Id: call.ID, Name: call.Function.Name, Arguments: arguments})
		}
		if m.Role == "tool" {
			out.ToolName = tools[m.ToolCallID]
		}
		all = append(all, out)
	}
	return all, nil
}

// chatForm writes chat completions.
type chatForm struct {
	// stream reads what is streamed; begun says that the role has been said.
	stream aitbc.ChatStream
	begun  bool
}

type chatBody struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	SystemFingerprint string       `json:"system_fingerprint,omitempty"`
	Choices           []chatChoice `json:"choices"`
	Usage             *usage       `json:"usage,omitempty"`
	AITBC             *provenance  `json:"aitbc,omitempty"`
}

type chatChoice struct {
	Index        int       `json:"index"`
	Message      *chatText `json:"message,omitempty"`
	Delta        *chatText `json:"delta,omitempty"`
	LogProbs     *struct{} `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// chatText is an answer or a piece of it. A whole answer has a content, be it null.
type chatText struct {
	Role      string          `json:"role,omitempty"`
	Content   json.RawMessage `json:"content,omitempty"`
	Refusal   json.RawMessage `json:"refusal,omitempty"`
	Reasoning string          `json:"reasoning_content,omitempty"`
	ToolCalls []toolCall      `json:"tool_calls,omitempty"`
}

func (a about) chat(object string, choices ...chatChoice) chatBody {
	return chatBody{ID: "chatcmpl-" + a.id, Object: object, Created: a.created, Model: a.model, Choices: choices}
}

func (*chatForm) whole(a about, job *coordinatorv1.Job) (any, error) {
	answer, err := aitbc.ParseAnswer(job.GetResult())
	if err != nil {
		return nil, apierr.Internal(fmt.Errorf("result of job %s: %w", job.GetJobId(), err))
	}
	finish, null := finishOf(job), json.RawMessage("null")
	text := &chatText{Role: answer.Role, Content: quoted(answer.Content), Refusal: null, Reasoning: answer.Thinking, ToolCalls: a.toolCalls(answer, false)}
	if answer.Content == "" && len(answer.ToolCalls) > 0 {
		text.Content = null
	}
	body, from := a.chat("chat.completion", chatChoice{Message: text, FinishReason: &finish}), provenanceOf(job)
	body.SystemFingerprint, body.Usage, body.AITBC = fingerprint(job), usageOf(job), &from
	return body, nil
}

func (f *chatForm) piece(a about, text string) []any {
	var all []any
	delta := f.stream.Add(text)
	if !f.begun {
		f.begun = true
		all = append(all, a.delta(chatText{Role: "assistant", Content: quoted("")}))
	}
	if delta.Thinking != "" {
		all = append(all, a.delta(chatText{Reasoning: delta.Thinking}))
	}
	if delta.Content != "" {
		all = append(all, a.delta(chatText{Content: quoted(delta.Content)}))
	}
	return all
}

func (*chatForm) finish(a about, job *coordinatorv1.Job) ([]any, error) {
	answer, err := aitbc.ParseAnswer(job.GetResult())
	if err != nil {
		return nil, apierr.Internal(fmt.Errorf("result of job %s: %w", job.GetJobId(), err))
	}
	var all []any
	if calls := a.toolCalls(answer, true); len(calls) > 0 {
		all = append(all, a.delta(chatText{ToolCalls: calls}))
	}
	finish := finishOf(job)
	last := a.chat("chat.completion.chunk", chatChoice{Delta: &chatText{}, FinishReason: &finish})
	last.SystemFingerprint = fingerprint(job)
	return append(all, last), nil
}

func (*chatForm) ending(a about) any {
	return a.chat("chat.completion.chunk", []chatChoice{}...)
}

func (a about) delta(text chatText) chatBody {
	return a.chat("chat.completion.chunk", chatChoice{Delta: &text})
}

// toolCalls gives the calls that the model wants made; each needs an id, which an engine may not give.
func (a about) toolCalls(answer aitbc.ChatMessage, streamed bool) []toolCall {
	var calls []toolCall
	for i, call := range answer.ToolCalls {
		out := toolCall{ID: call.ID, Type: "function"}
		if out.ID == "" {
			out.ID = fmt.Sprintf("call_%s_%d", a.id, i)
		}
		out.Function.Name, out.Function.Arguments = call.Name, call.Arguments
		if streamed {
			out.Index = &i
		}
		calls = append(calls, out)
	}
	return calls
}

func quoted(text string) json.RawMessage {
	encoded, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`""`) // a text can be marshalled, so this does not happen
	}
	return encoded
}
