package openai

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// completionRequest is what POST /v1/completions takes.
type completionRequest struct {
	common
	sampling
	Prompt texts `json:"prompt"`
}

func readCompletion(body []byte) (*question, error) {
	var r completionRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if len(r.Prompt) != 1 {
		return nil, apierr.InvalidField("prompt", "must be one text: a job has one answer")
	}
	job := &coordinatorv1.SubmitJobRequest{
		Type: aitbc.TypeInference, Prompt: r.Prompt[0], Model: r.Model,
		MaxPrice: r.MaxPrice, ModelDigest: r.ModelDigest, Options: r.options(),
	}
	return r.ask(&question{job: job, model: r.Model, form: completionForm{}}), nil
}

// completionForm writes completions.
type completionForm struct{}

type completionBody struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	SystemFingerprint string             `json:"system_fingerprint,omitempty"`
	Choices           []completionChoice `json:"choices"`
	Usage             *usage             `json:"usage,omitempty"`
	AITBC             *provenance        `json:"aitbc,omitempty"`
}

type completionChoice struct {
	Text         string    `json:"text"`
	Index        int       `json:"index"`
	LogProbs     *struct{} `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

func (a about) completion(choices ...completionChoice) completionBody {
	return completionBody{ID: "cmpl-" + a.id, Object: "text_completion", Created: a.created, Model: a.model, Choices: choices}
}

func (completionForm) whole(a about, job *coordinatorv1.Job) (any, error) {
	finish, from := finishOf(job), provenanceOf(job)
	body := a.completion(completionChoice{Text: job.GetResult(), FinishReason: &finish})
	body.SystemFingerprint, body.Usage, body.AITBC = fingerprint(job), usageOf(job), &from
	return body, nil
}

func (completionForm) piece(a about, text string) []any {
	if text == "" {
		return nil
	}
	return []any{a.completion(completionChoice{Text: text})}
}

func (completionForm) finish(a about, job *coordinatorv1.Job) ([]any, error) {
	finish := finishOf(job)
	last := a.completion(completionChoice{FinishReason: &finish})
	last.SystemFingerprint = fingerprint(job)
	return []any{last}, nil
}

func (completionForm) ending(a about) any { return a.completion([]completionChoice{}...) }
