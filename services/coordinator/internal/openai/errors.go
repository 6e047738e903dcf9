package openai

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/gateway"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// failure is an error in OpenAI's shape, and our reason with its variables.
type failure struct {
	Message  string            `json:"message"`
	Type     string            `json:"type"`
	Param    *string           `json:"param"`
	Code     string            `json:"code"`
	Reason   string            `json:"reason"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

type failureBody struct {
	Error failure `json:"error"`
}

// codeOf gives OpenAI's own code for a reason where it has one, else ours in its style.
func codeOf(reason coordinatorv1.ErrorReason) string {
	switch reason {
	case coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY:
		return "invalid_api_key"
	case coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED,
		coordinatorv1.ErrorReason_ERROR_REASON_SPEND_LIMIT:
		return "insufficient_quota"
	case coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED:
		return "rate_limit_exceeded"
	default:
		return strings.ToLower(apierr.Word(reason))
	}
}

func typeOf(httpStatus int) string {
	switch httpStatus {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusPaymentRequired:
		return "insufficient_quota"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	}
	if httpStatus >= http.StatusInternalServerError {
		return "server_error"
	}
	return "invalid_request_error"
}

// worthWaiting is the longest pause that OpenAI's clients wait for: they come back sooner from a longer one,
// in vain.
const worthWaiting = time.Minute

// failureOf gives an error as the caller sees it.
func failureOf(e *apierr.Error) failureBody {
	f := failure{
		Message: e.Message, Type: typeOf(apierr.RowOf(e.Reason).HTTP), Code: codeOf(e.Reason),
		Reason: apierr.Word(e.Reason), Metadata: e.Metadata,
	}
	if len(e.Violations) > 0 {
		param := paramOf(e.Violations[0].Field)
		f.Param = &param
	}
	return failureBody{f}
}

// paramOf gives OpenAI's name of a field of the contract.
func paramOf(field string) string {
	name := strings.TrimPrefix(field, "options.")
	switch name {
	case "num_predict":
		return "max_tokens"
	case "format":
		return "response_format"
	default:
		return name
	}
}

// errorOf reads what a call or a job ended with.
func errorOf(ctx context.Context, err error) *apierr.Error {
	st, isStatus := status.FromError(err)
	if !isStatus {
		return apierr.From(ctx, err)
	}
	if e, ok := apierr.FromStatus(st); ok {
		return e
	}
	switch {
	case ctx.Err() != nil, st.Code() == codes.Canceled, st.Code() == codes.DeadlineExceeded:
		return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, "the call took too long or the caller went away").WithCause(err)
	case st.Code() == codes.Unavailable:
		return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "the server is starting or stopping").
			WithRetryAfter(gateway.RestartDelay).WithCause(err)
	default:
		return apierr.From(ctx, err)
	}
}

// fail answers a request whose call or job has failed; its own stages have logged it.
func (h *Handler) fail(ctx context.Context, w http.ResponseWriter, err error) {
	h.write(w, errorOf(ctx, err))
}

// refuse answers, logs and counts a request that never became a call.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := errorOf(r.Context(), err)
	row := apierr.RowOf(e.Reason)
	h.options.Logger.LogAttrs(r.Context(), slog.LevelInfo, "call refused at the gateway",
		slog.String(obs.KeyMethod, r.URL.Path), slog.String(obs.KeyCode, row.Code.String()), slog.String(obs.KeyReason, apierr.Word(e.Reason)),
		slog.String(obs.KeyPeer, r.RemoteAddr), slog.String(obs.KeyError, e.Error()))
	if h.options.Metrics != nil {
		h.options.Metrics.Refused(submitMethod, row.Code.String(), apierr.Word(e.Reason))
	}
	h.write(w, e)
}

func (*Handler) write(w http.ResponseWriter, e *apierr.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	row := apierr.RowOf(e.Reason)
	if !row.Retryable || e.RetryAfter > worthWaiting {
		w.Header().Set("X-Should-Retry", "false") // OpenAI's clients heed it
	}
	if w.Header().Get("Allow") != "" { // the path is right, the method is not
		row.HTTP = http.StatusMethodNotAllowed
	}
	writeJSON(w, row.HTTP, failureOf(e))
}

// errorChunk is the event that ends a stream early.
func errorChunk(ctx context.Context, err error) gateway.Event {
	text, marshalErr := json.Marshal(failureOf(errorOf(ctx, err)))
	if marshalErr != nil {
		text = []byte(`{"error":{}}`) // only texts are in it, so this does not happen
	}
	return gateway.Event{Text: text}
}

func itoa(n int32) string { return strconv.FormatInt(int64(n), 10) }
