package executor

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ollama/ollama/api"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// embed makes a vector of each text. The answer's bytes are a JSON list of them. The engine measures
// all it did but the loading as one span, which is the compute time.
func (o *Ollama) embed(ctx context.Context, h *hearing) error {
	inputs, err := aitbc.ParseEmbedding(h.request.Prompt)
	if err != nil {
		return &Failure{Reason: Rejected, Message: "the texts cannot be put to the engine", Err: err}
	}
	no := false
	response, err := o.client.Embed(ctx, &api.EmbedRequest{Model: h.request.Model, Input: inputs, Truncate: &no})
	if err != nil {
		return err
	}
	if len(response.Embeddings) != len(inputs) {
		return &Failure{Reason: EngineError, Message: fmt.Sprintf("the engine made %d vectors of %d texts", len(response.Embeddings), len(inputs))}
	}
	text, err := json.Marshal(response.Embeddings)
	if err != nil {
		return &Failure{Reason: EngineError, Message: "the engine's vectors are no numbers", Err: err}
	}
	if len(text) > MaxText {
		return &Failure{Reason: Rejected, Message: fmt.Sprintf(
			"the vectors of %d texts have %d bytes, over the limit of %d: ask for fewer at once", len(inputs), len(text), MaxText)}
	}
	if err := h.say(string(text), ""); err != nil {
		return err
	}
	return h.done(api.Metrics{
		PromptEvalCount: response.PromptEvalCount, PromptEvalDuration: response.TotalDuration - response.LoadDuration,
	}, FinishStop)
}
