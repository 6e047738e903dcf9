package openai

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/gateway"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

const (
	chatPath       = "/v1/chat/completions"
	completionPath = "/v1/completions"
	embeddingPath  = "/v1/embeddings"
	modelsPath     = "/v1/models"

	// maxBodyBytes has room for what one job may ask (1 MiB), however it is quoted.
	maxBodyBytes = 8 << 20
	// callTimeout bounds the calls behind an answer, but for the wait for the job.
	callTimeout = 30 * time.Second
	// cancelTimeout bounds the cancelling of a job whose caller is gone.
	cancelTimeout = 5 * time.Second
)

// Options are what a Handler leans on.
type Options struct {
	// Logger gets one line for each request that never became a call. Required.
	Logger *slog.Logger
	// Metrics counts those; nil: nobody does.
	Metrics *obs.RPC
	// Authorizer is asked before a body is read; nil: bodies are read unasked.
	Authorizer rpc.Authorizer
}

// Handler serves OpenAI's API.
type Handler struct {
	options Options
	jobs    coordinatorv1.JobServiceClient
	network coordinatorv1.NetworkServiceClient
}

// New serves the API over the coordinator's in-process connection, which stays the caller's to close.
func New(o Options, conn grpc.ClientConnInterface) *Handler {
	return &Handler{options: o, jobs: coordinatorv1.NewJobServiceClient(conn), network: coordinatorv1.NewNetworkServiceClient(conn)}
}

// Paths lists what OpenAI's clients post to.
func Paths() []string { return []string{chatPath, completionPath, embeddingPath} }

// Serves reports whether a request is for OpenAI's API. The contract has paths for models, too, whose
// answers fit both; errors do not, and a bearer's key tells whose they should be.
func Serves(r *http.Request, bearer bool) bool {
	switch path := r.URL.Path; {
	case path == chatPath, path == completionPath, path == embeddingPath:
		return true
	case path == modelsPath, strings.HasPrefix(path, modelsPath+"/"):
		return bearer && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	default:
		return false
	}
}

// ServeHTTP implements http.Handler, for requests that Serves takes and whose key is in X-Api-Key.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.URL.Path {
	case chatPath:
		h.answer(w, r, readChat)
	case completionPath:
		h.answer(w, r, readCompletion)
	case embeddingPath:
		h.answer(w, r, readEmbedding)
	case modelsPath:
		h.listModels(w, r)
	default:
		h.getModel(w, r, strings.TrimPrefix(r.URL.Path, modelsPath+"/"))
	}
}

// question is a request that has been understood.
type question struct {
	job *coordinatorv1.SubmitJobRequest
	// model is the model's name as the caller wrote it.
	model string
	// stream asks for an answer as it is made, usage for what it cost in tokens at its end.
	stream, usage bool
	// form writes the answer.
	form form
}

// answer submits the job that a request is for, and answers with its result.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, read func(body []byte) (*question, error)) {
	q, err := h.read(w, r, read)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	ctx, stop := context.WithCancel(outgoing(r))
	defer stop()
	submitting, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var header metadata.MD
	submitted, err := h.jobs.SubmitJob(submitting, q.job, grpc.Header(&header))
	tellRequestID(w, header)
	if err != nil {
		h.fail(ctx, w, err)
		return
	}
	l := &listening{handler: h, id: submitted.GetJobId(), created: submitted.GetSubmittedAt().GetSeconds()}
	tellJob(w, l.id)
	if submitted.Available != nil {
		w.Header().Set("Aitbc-Available", submitted.GetAvailable())
	}
	defer l.leave(ctx, q.job.GetRequestId() == "")
	if err := l.open(ctx); err != nil {
		h.fail(ctx, w, err)
		return
	}
	if q.stream {
		source := &chunks{listening: l, ctx: ctx, question: q}
		gateway.WriteEvents(ctx, w, source, func(err error) { h.fail(ctx, w, err) }, errorChunk)
		return
	}
	job, err := l.wait(ctx)
	if err != nil {
		h.fail(ctx, w, err)
		return
	}
	body, err := q.form.whole(l.about(q, job), job)
	if err != nil {
		h.fail(ctx, w, err)
		return
	}
	tellEnd(w, job)
	writeJSON(w, http.StatusOK, body)
}

// outgoing carries over what the call needs to know of a request: whose it is and where it came from.
func outgoing(r *http.Request) context.Context {
	md := metadata.MD{}
	md.Append("x-api-key", r.Header.Values("X-Api-Key")...)
	md.Append("x-miner-key", r.Header.Values("X-Miner-Key")...)
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		md.Append("x-forwarded-for", strings.Join(append(r.Header.Values("X-Forwarded-For"), host), ", "))
	}
	return metadata.NewOutgoingContext(r.Context(), md)
}

func tellRequestID(w http.ResponseWriter, header metadata.MD) {
	if id := header.Get(rpc.RequestIDKey); len(id) > 0 {
		w.Header().Set("X-Request-Id", id[0])
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	content, err := json.Marshal(body)
	if err != nil {
		// Only our own structs come here, so this does not happen; the status tells.
		status, content = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A caller that is gone cannot be told.
	_, _ = w.Write(append(content, '\n'))
}
