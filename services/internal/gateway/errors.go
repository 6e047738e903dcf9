package gateway

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// RestartDelay is how long to stay away while the server behind stops or starts.
const RestartDelay = time.Second

const (
	// unrouted is the method of a request that no route took.
	unrouted     = "unrouted"
	maxLoggedURL = 200
)

// handleError answers an error of the in-process call or of the generated handler. The call itself
// has been logged by the server's stages.
func (g *Gateway) handleError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		for key, values := range md.HeaderMD {
			if name, pass := outgoingHeader(key); pass && len(values) > 0 {
				w.Header().Set(name, values[0])
			}
		}
	}
	if e, ok := apierr.FromStatus(status.Convert(err)); ok {
		writeError(w, status.Convert(err), apierr.RowOf(e.Reason).HTTP, e.RetryAfter)
		return
	}
	method, _ := runtime.RPCMethod(ctx)
	g.refuse(w, r, method, classify(ctx, err), 0)
}

// classify reads errors that no stage has mapped: those of the connection and of grpc-gateway.
func classify(ctx context.Context, err error) *apierr.Error {
	var routing *runtime.HTTPStatusError
	if errors.As(err, &routing) && routing.HTTPStatus == http.StatusBadRequest {
		return apierr.InvalidField("path", "is not a valid path")
	}
	switch code := status.Code(err); {
	case ctx.Err() != nil, code == codes.DeadlineExceeded: // the connection's clock may be ahead of ctx's
		return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, "the call took too long or the caller went away").WithCause(err)
	case code == codes.Unavailable:
		return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "the server is starting or stopping").
			WithRetryAfter(RestartDelay).WithCause(err)
	case code == codes.InvalidArgument:
		return apierr.InvalidField("body", "does not fit the contract").WithCause(err)
	default:
		return apierr.From(ctx, err)
	}
}

// handleRoutingError answers a request that no route takes.
func (g *Gateway) handleRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, httpStatus int) {
	const reason = coordinatorv1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND
	if httpStatus == http.StatusMethodNotAllowed {
		allow := strings.Join(g.allowed(r.URL.Path), ", ")
		w.Header().Set("Allow", allow)
		e := apierr.New(reason, "%s is not possible here; use %s", r.Method, allow).With("allow", allow)
		g.refuse(w, r, unrouted, e, httpStatus)
		return
	}
	g.refuse(w, r, unrouted, apierr.New(reason, "no such path; /openapi.json lists them"), 0)
}

// NotFound answers a request for a path that nothing serves, in the shape of all errors.
func (g *Gateway) NotFound(w http.ResponseWriter, r *http.Request) {
	g.handleRoutingError(r.Context(), nil, nil, w, r, http.StatusNotFound)
}

// refuse answers, logs and counts a request that never became a call. httpStatus 0 is the reason's.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, method string, e *apierr.Error, httpStatus int) {
	row := apierr.RowOf(e.Reason)
	if httpStatus == 0 {
		httpStatus = row.HTTP
	}
	level := slog.LevelInfo
	if row.Code == codes.Internal {
		level = slog.LevelError
	}
	url := r.URL.Path
	if len(url) > maxLoggedURL {
		url = url[:maxLoggedURL]
	}
	g.options.Logger.LogAttrs(r.Context(), level, "call refused at the gateway",
		slog.String(obs.KeyMethod, method), slog.String("http", r.Method+" "+url),
		slog.String(obs.KeyCode, row.Code.String()), slog.String(obs.KeyReason, apierr.Word(e.Reason)),
		slog.String(obs.KeyPeer, r.RemoteAddr), slog.String(obs.KeyError, e.Error()))
	if g.options.Metrics != nil {
		g.options.Metrics.Refused(method, row.Code.String(), apierr.Word(e.Reason))
	}
	writeError(w, e.Status(""), httpStatus, e.RetryAfter)
}

// writeError writes a google.rpc.Status as JSON.
func writeError(w http.ResponseWriter, st *status.Status, httpStatus int, retryAfter time.Duration) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(retryAfter.Seconds()))))
	}
	w.Header().Set("Content-Type", "application/json")
	content, err := newMarshaler().Marshal(st.Proto())
	if err != nil {
		// Its details are of types that are linked in, so this does not happen; the status tells.
		content = []byte("{}\n")
	}
	w.WriteHeader(httpStatus)
	// A caller that is gone cannot be told.
	_, _ = w.Write(content)
}
