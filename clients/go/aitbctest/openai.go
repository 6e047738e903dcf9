package aitbctest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const maxOpenAIBody = 1 << 20

// openAI serves as much of OpenAI's API as programs need that are tested with it: chats, completions and
// embeddings, whole and as streams of one piece. Fields that it does not know are passed over.
type openAI struct {
	rest http.Handler
	jobs coordinatorv1.JobServiceClient
}

func newOpenAI(rest http.Handler, conn *grpc.ClientConn) http.Handler {
	return &openAI{rest: rest, jobs: coordinatorv1.NewJobServiceClient(conn)}
}

// openAIRequest is what is read of a request.
type openAIRequest struct {
	Model    string `json:"model"`
	Prompt   string `json:"prompt"`
	Messages []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"messages"`
	Input          any    `json:"input"`
	EncodingFormat string `json:"encoding_format"`
	MaxPrice       string `json:"max_price"`
	Stream         bool   `json:"stream"`
}

// ServeHTTP implements http.Handler. A bearer's key is the API key on every path.
func (o *openAI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		r.Header.Set("X-Api-Key", key)
	}
	jobType := map[string]string{
		"/v1/chat/completions": aitbc.TypeChat, "/v1/completions": aitbc.TypeInference, "/v1/embeddings": aitbc.TypeEmbedding,
	}[r.URL.Path]
	if jobType == "" {
		o.rest.ServeHTTP(w, r)
		return
	}
	if err := o.answer(w, r, jobType); err != nil {
		s := status.Convert(err)
		body := map[string]any{"message": s.Message(), "type": "invalid_request_error", "code": nil, "param": nil, "reason": reasonOf(s)}
		writeOpenAI(w, httpOf(aitbc.Reason(reasonOf(s)), runtime.HTTPStatusFromCode(s.Code())), map[string]any{"error": body})
	}
}

func (o *openAI) answer(w http.ResponseWriter, r *http.Request, jobType string) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOpenAIBody))
	if err != nil {
		return statusOf(invalidField("body", "is too long or ended early"))
	}
	var asked openAIRequest
	if err := json.Unmarshal(text, &asked); err != nil {
		return statusOf(invalidField("body", err.Error()))
	}
	submit := &coordinatorv1.SubmitJobRequest{
		Type: jobType, Model: asked.Model, Prompt: asked.Prompt, Input: asked.inputs(), MaxPrice: asked.MaxPrice, RequestId: r.Header.Get("Idempotency-Key"),
	}
	for _, m := range asked.Messages {
		submit.Messages = append(submit.Messages, &coordinatorv1.ChatMessage{Role: m.Role, Content: m.Content})
	}
	ctx := metadata.AppendToOutgoingContext(r.Context(), "x-api-key", r.Header.Get("X-Api-Key"))
	submitted, err := o.jobs.SubmitJob(ctx, submit)
	if err != nil {
		return err
	}
	job := &coordinatorv1.Job{}
	for !aitbc.Status(job.GetStatus()).Terminal() { // each read moves it on
		answer, err := o.jobs.GetJob(ctx, &coordinatorv1.GetJobRequest{JobId: submitted.GetJobId()})
		if err != nil {
			return err
		}
		job = answer.GetJob()
	}
	if job.GetError() != nil {
		return statusOf(refusal(aitbc.Reason(job.GetError().GetReason()), codes.Aborted, job.GetError().GetMessage()))
	}
	w.Header().Set("Aitbc-Job-Id", job.GetJobId())
	w.Header().Set("Aitbc-Receipt-Id", job.GetReceiptId())
	w.Header().Set("Aitbc-Cost", job.GetCost())
	return write(w, asked, job)
}

// reasonOf gives the reason in a status.
func reasonOf(s *status.Status) string {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// inputs are the texts of an embedding, one of which may stand as itself.
func (r openAIRequest) inputs() []string {
	switch input := r.Input.(type) {
	case string:
		return []string{input}
	case []any:
		var texts []string
		for _, item := range input {
			texts = append(texts, fmt.Sprint(item))
		}
		return texts
	}
	return nil
}

// write writes a completed job in OpenAI's shape.
func write(w http.ResponseWriter, asked openAIRequest, job *coordinatorv1.Job) error {
	id, created := strings.TrimPrefix(job.GetJobId(), "job_"), job.GetSubmittedAt().GetSeconds()
	usage := map[string]any{"prompt_tokens": promptTokens, "completion_tokens": outputTokens, "total_tokens": promptTokens + outputTokens}
	body := map[string]any{"created": created, "model": asked.Model, "usage": usage}
	choice := map[string]any{"index": 0, "finish_reason": "stop"}
	switch job.GetType() {
	case aitbc.TypeEmbedding:
		vectors, err := aitbc.ParseVectors(job.GetResult())
		if err != nil {
			return err
		}
		data := []any{}
		for i, vector := range vectors {
			data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": encoded(vector, asked.EncodingFormat)})
		}
		writeOpenAI(w, http.StatusOK, map[string]any{"object": "list", "model": asked.Model, "data": data, "usage": usage})
		return nil
	case aitbc.TypeChat:
		message, err := aitbc.ParseAnswer(job.GetResult())
		if err != nil {
			return err
		}
		said := map[string]any{"role": message.Role, "content": message.Content}
		body["id"], body["object"], choice["message"] = "chatcmpl-"+id, "chat.completion", said
		if asked.Stream {
			delete(choice, "message")
			body["object"], choice["delta"] = "chat.completion.chunk", said
		}
	default:
		body["id"], body["object"], choice["text"] = "cmpl-"+id, "text_completion", job.GetResult()
	}
	body["choices"] = []any{choice}
	if !asked.Stream {
		writeOpenAI(w, http.StatusOK, body)
		return nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	text, err := json.Marshal(body)
	_, writeErr := fmt.Fprintf(w, "data: %s\n\ndata: [DONE]\n\n", text)
	return errors.Join(err, writeErr)
}

// encoded gives a vector as numbers, or in base64 as 32-bit floats, the smallest byte first.
func encoded(vector []float32, format string) any {
	if format != "base64" {
		return vector
	}
	var b []byte
	for _, x := range vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

func writeOpenAI(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// A caller that is gone cannot be told.
	_ = json.NewEncoder(w).Encode(body)
}
