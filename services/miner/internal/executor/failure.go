package executor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ollama/ollama/api"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// The failures of an attempt that an executor can tell apart.
const (
	Overloaded     = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_OVERLOADED
	EngineError    = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR
	Incomplete     = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_INCOMPLETE
	ModelNotFound  = coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND
	Rejected       = coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED
	ExecutionLimit = coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT
)

// Failure is why there is no complete answer.
type Failure struct { //nolint:errname // what is reported of an attempt; an error only on its way there
	// Reason is the failure's class.
	Reason coordinatorv1.ErrorReason
	// Message is for people.
	Message string
	// Err is the cause, if there is one.
	Err error
}

// Error gives reason, message and cause.
func (f *Failure) Error() string {
	text := f.Reason.String() + ": " + f.Message
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

var (
	errTextTooLong = errors.New("the answer is over its limit")
	errLimit       = errors.New("the execution limit was reached")
)

// classify says why a generation ended without `done`. ctx is the caller's, run the one with the
// execution limit. The client library gives nil for a stream that was cut, whatever cut it.
func classify(ctx, run context.Context, h *hearing, err error) error {
	var status api.StatusError
	var failure *Failure
	request := h.request
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("generate: %w", context.Cause(ctx))
	case errors.Is(context.Cause(run), errLimit):
		return &Failure{Reason: ExecutionLimit, Message: fmt.Sprintf("no answer within %v", request.Limit)}
	case errors.Is(err, errTextTooLong):
		return &Failure{Reason: EngineError, Message: fmt.Sprintf("the answer is longer than %d bytes", MaxText)}
	case errors.As(err, &failure):
		return failure
	case err == nil && h.gaveUp():
		return &Failure{Reason: Rejected, Message: "the model found no answer in the format that was asked for"}
	case err == nil:
		return &Failure{Reason: Incomplete, Message: "the engine's stream ended without done"}
	case errors.As(err, &status):
		return ofStatus(status, request)
	default:
		return &Failure{Reason: EngineError, Message: "the engine failed", Err: err}
	}
}

// ofStatus reads the engine's HTTP status. It answers 400 to what is the request's own fault, such
// as a prompt over the model's context, and 503 when its queue is full.
func ofStatus(status api.StatusError, request Request) *Failure {
	switch status.StatusCode {
	case http.StatusNotFound:
		return &Failure{Reason: ModelNotFound, Message: fmt.Sprintf("the engine does not have model %s", request.Model)}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return &Failure{Reason: Overloaded, Message: "the engine is overloaded", Err: status}
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return &Failure{Reason: Rejected, Message: "the engine refused the request", Err: status}
	}
	// It calls these its own fault (Ollama 0.17.4).
	for _, theirs := range []string{"invalid JSON schema in format", "invalid format:", "does not support embeddings"} {
		if strings.Contains(status.ErrorMessage, theirs) {
			return &Failure{Reason: Rejected, Message: "the engine refused the request", Err: status}
		}
	}
	return &Failure{Reason: EngineError, Message: "the engine failed", Err: status}
}
