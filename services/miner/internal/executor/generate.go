package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ollama/ollama/api"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Generate makes one answer, as the request's type says. It returns a complete answer, or an error and
// what was done until then: a [*Failure], or an error that wraps the cause when ctx ended.
func (o *Ollama) Generate(ctx context.Context, request Request) (Answer, error) {
	run, cancel := context.WithTimeoutCause(ctx, request.Limit, errLimit)
	defer cancel()
	h := &hearing{request: request}
	var err error
	switch request.Type {
	case aitbc.TypeChat:
		err = o.chat(run, h)
	case aitbc.TypeEmbedding:
		err = o.embed(run, h)
	default:
		err = o.complete(run, h)
	}
	answer := h.answer
	if answer.Complete && err == nil {
		return answer, nil
	}
	answer.Complete = false
	answer.Compute = h.last.Sub(h.first)
	return answer, classify(ctx, run, h, err)
}

// complete goes on with a prompt.
func (o *Ollama) complete(ctx context.Context, h *hearing) error {
	stream, no := true, false
	return o.client.Generate(ctx, &api.GenerateRequest{
		Model:    h.request.Model,
		Prompt:   h.request.Prompt,
		Stream:   &stream,
		Truncate: &no,
		Shift:    &no,
		Format:   format(h.request.Options),
		Options:  values(h.request.Options),
	}, func(chunk api.GenerateResponse) error {
		h.tick(chunk.Done)
		if err := h.say(chunk.Response, ""); err != nil {
			return err
		}
		if !chunk.Done {
			return nil
		}
		return h.done(chunk.Metrics, chunk.DoneReason)
	})
}

// hearing is an answer that is being made.
type hearing struct {
	request     Request
	answer      Answer
	first, last time.Time
}

// say takes the next piece of the answer's bytes, and what would end it behind them.
func (h *hearing) say(piece, ending string) error {
	if len(h.answer.Text)+len(piece) > MaxText {
		return errTextTooLong
	}
	h.answer.Text = append(h.answer.Text, piece...)
	if h.request.Heard != nil && piece != "" {
		h.request.Heard(Piece{Text: piece, Ending: ending, OutputTokens: h.answer.OutputTokens, Compute: h.last.Sub(h.first)})
	}
	return nil
}

// tick notes that the engine has made a token, or, at last, that it is done.
func (h *hearing) tick(done bool) {
	h.last = time.Now()
	if h.first.IsZero() {
		h.first = h.last
	}
	if !done {
		h.answer.OutputTokens++
	}
}

var errMetrics = errors.New("the engine's measurements are impossible")

// done takes over what the engine measured.
func (h *hearing) done(m api.Metrics, reason string) error {
	if m.PromptEvalCount < 0 || m.EvalCount < 0 || m.PromptEvalDuration < 0 || m.EvalDuration < 0 {
		return errMetrics
	}
	a := &h.answer
	a.PromptTokens, a.OutputTokens = uint32(m.PromptEvalCount), uint32(m.EvalCount)
	a.Compute = m.PromptEvalDuration + m.EvalDuration
	if reason == FinishStop || reason == FinishLength {
		a.FinishReason = reason
	}
	a.Complete = true
	return nil
}

// emptyForm is how many white spaces at its end make an answer in a form hopeless: the engine gives up
// after 30 tokens of nothing else, and ends the stream without `done` (Ollama 0.17.4).
const emptyForm = 30

// gaveUp reports that the engine found no answer in the form that was asked for.
func (h *hearing) gaveUp() bool {
	text := h.answer.Text
	return h.request.Options.Format != "" && len(text)-len(bytes.TrimRight(text, " \t\r\n")) >= emptyForm
}

// format gives the form of the answer under the engine's rules.
func format(o aitbc.Options) json.RawMessage {
	switch o.Format {
	case "":
		return nil
	case aitbc.FormatJSON:
		return json.RawMessage(`"json"`)
	default:
		return json.RawMessage(o.Format)
	}
}
