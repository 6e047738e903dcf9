package openai

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// embeddingRequest is what POST /v1/embeddings takes.
type embeddingRequest struct {
	common
	Input          texts  `json:"input"`
	EncodingFormat string `json:"encoding_format"`
}

func readEmbedding(body []byte) (*question, error) {
	var r embeddingRequest
	if err := decode(body, &r); err != nil {
		return nil, err
	}
	encode := map[string]func([]float32) any{"": asNumbers, "float": asNumbers, "base64": asBase64}[r.EncodingFormat]
	if encode == nil {
		return nil, apierr.InvalidField("encoding_format", "must be float or base64")
	}
	job := &coordinatorv1.SubmitJobRequest{
		Type: aitbc.TypeEmbedding, Input: r.Input, Model: r.Model, MaxPrice: r.MaxPrice, ModelDigest: r.ModelDigest,
	}
	return &question{job: job, model: r.Model, form: embeddingForm{encode}}, nil
}

// embeddingForm writes embeddings, which are never streamed.
type embeddingForm struct{ encode func([]float32) any }

type embeddingBody struct {
	Object string       `json:"object"`
	Data   []vectorBody `json:"data"`
	Model  string       `json:"model"`
	Usage  usage        `json:"usage"`
	AITBC  provenance   `json:"aitbc"`
}

type vectorBody struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

func (f embeddingForm) whole(a about, job *coordinatorv1.Job) (any, error) {
	vectors, err := aitbc.ParseVectors(job.GetResult())
	if err != nil {
		return nil, apierr.Internal(fmt.Errorf("result of job %s: %w", job.GetJobId(), err))
	}
	prompt := job.GetMetrics().GetPromptTokens()
	body := embeddingBody{Object: "list", Model: a.model, Usage: usage{PromptTokens: prompt, TotalTokens: prompt}, AITBC: provenanceOf(job)}
	for i, vector := range vectors {
		body.Data = append(body.Data, vectorBody{Object: "embedding", Index: i, Embedding: f.encode(vector)})
	}
	return body, nil
}

func (embeddingForm) piece(about, string) []any                       { return nil }
func (embeddingForm) finish(about, *coordinatorv1.Job) ([]any, error) { return nil, nil }
func (embeddingForm) ending(about) any                                { return nil }

func asNumbers(vector []float32) any { return vector }

// asBase64 gives the numbers as bytes, the lowest first, which is what OpenAI's clients ask for.
func asBase64(vector []float32) any {
	raw := make([]byte, 0, 4*len(vector))
	for _, number := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(number))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
