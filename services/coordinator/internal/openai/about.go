package openai

import (
	"net/http"
	"strings"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const (
	receiptPending = "pending"
	receiptSettled = "settled"
	receiptNone    = "none"
)

// about is what all answers to one request say of it.
type about struct {
	// id is the job's ULID.
	id      string
	created int64
	model   string
}

func (l *listening) about(q *question, job *coordinatorv1.Job) about {
	model := q.model
	if model == "" {
		model = job.GetModel()
	}
	return about{id: strings.TrimPrefix(l.id, "job_"), created: l.created, model: model}
}

// provenance is what is ours in an answer: where it came from, what it costs, what will prove it.
type provenance struct {
	JobID        string `json:"job_id"`
	ReceiptID    string `json:"receipt_id,omitempty"`
	ReceiptState string `json:"receipt_state"`
	MinerID      string `json:"miner_id"`
	ModelDigest  string `json:"model_digest"`
	Attempt      int32  `json:"attempt"`
	Cost         string `json:"cost"`
}

func provenanceOf(job *coordinatorv1.Job) provenance {
	p := provenance{
		JobID: job.GetJobId(), ReceiptID: receiptOf(job.GetJobId()), ReceiptState: receiptPending,
		MinerID: job.GetMinerId(), ModelDigest: job.GetModelDigest(), Attempt: job.GetAttempts(), Cost: job.GetBilled(),
	}
	switch {
	case job.GetReceiptId() != "":
		p.ReceiptState = receiptSettled
	case job.GetPhase() == "done":
		p.ReceiptID, p.ReceiptState = "", receiptNone
	}
	return p
}

// receiptOf gives the id that a job's receipt will have.
func receiptOf(jobID string) string { return "receipt_" + strings.TrimPrefix(jobID, "job_") }

// tellJob says what is known as soon as there is a job.
func tellJob(w http.ResponseWriter, jobID string) {
	w.Header().Set("Aitbc-Job-Id", jobID)
	w.Header().Set("Aitbc-Receipt-Id", receiptOf(jobID))
	w.Header().Set("Aitbc-Receipt-State", receiptPending)
}

// tellEnd says what is known with the result.
func tellEnd(w http.ResponseWriter, job *coordinatorv1.Job) {
	p := provenanceOf(job)
	header := w.Header()
	header.Set("Aitbc-Receipt-State", p.ReceiptState)
	if p.ReceiptID == "" {
		header.Del("Aitbc-Receipt-Id")
	}
	header.Set("Aitbc-Miner-Id", p.MinerID)
	header.Set("Aitbc-Model-Digest", p.ModelDigest)
	header.Set("Aitbc-Attempt", itoa(p.Attempt))
	header.Set("Aitbc-Cost", p.Cost)
}

// fingerprint stands for the model's exact bytes, as OpenAI's system_fingerprint does.
func fingerprint(job *coordinatorv1.Job) string {
	digest := job.GetModelDigest()
	return "fp_" + digest[:min(len(digest), 12)]
}

type usage struct {
	PromptTokens     int32  `json:"prompt_tokens"`
	CompletionTokens *int32 `json:"completion_tokens,omitempty"`
	TotalTokens      int32  `json:"total_tokens"`
}

func usageOf(job *coordinatorv1.Job) *usage {
	prompt, output := job.GetMetrics().GetPromptTokens(), job.GetMetrics().GetTokensGenerated()
	return &usage{PromptTokens: prompt, CompletionTokens: &output, TotalTokens: prompt + output}
}

func finishOf(job *coordinatorv1.Job) string {
	if reason := job.GetMetrics().GetFinishReason(); reason != "" {
		return reason
	}
	return "stop"
}
