package obs

import (
	"context"
	"log/slog"
	"sync"
)

type callKey struct{}

// Call is what the log line of one call gathers on its way through the interceptors. A stream's
// handler may add to it from any goroutine.
type Call struct {
	// RequestID correlates the caller's answer with the log.
	RequestID string

	mu    sync.Mutex
	attrs []slog.Attr
}

// WithCall puts a new Call with this request id into the context.
func WithCall(ctx context.Context, requestID string) (context.Context, *Call) {
	call := &Call{RequestID: requestID}
	return context.WithValue(ctx, callKey{}, call), call
}

// RequestID gives the id of the call that the context belongs to; empty outside of one.
func RequestID(ctx context.Context) string {
	call := CallOf(ctx)
	if call == nil {
		return ""
	}
	return call.RequestID
}

// CallOf gives the call that the context belongs to; nil outside of one.
func CallOf(ctx context.Context) *Call {
	call, _ := ctx.Value(callKey{}).(*Call)
	return call
}

// Annotate adds attributes to the log line of the call that the context belongs to; outside of a
// call it does nothing.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	call := CallOf(ctx)
	if call == nil {
		return
	}
	call.mu.Lock()
	defer call.mu.Unlock()
	call.attrs = append(call.attrs, attrs...)
}

// Attrs gives what was gathered, request id first.
func (c *Call) Attrs() []slog.Attr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]slog.Attr{slog.String(KeyRequestID, c.RequestID)}, c.attrs...)
}
