package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// interceptors is the one place that fixes the order of the stages: of unary calls and of streams, the
// outermost first.
func interceptors(o Options, v *validation) ([]grpc.UnaryServerInterceptor, []grpc.StreamServerInterceptor) {
	stages := compose(
		recovery(o.Logger),
		requestID(),
		metrics(o.Metrics),
		accessLog(o.Logger),
		errorMapping(o.Logger),
		authorization(o.Authorizer),
		rateLimit(o.Limiter),
	)
	unary := []grpc.UnaryServerInterceptor{compose(deadline(o.Timeout), stages).unary(), v.unary}
	stream := []grpc.StreamServerInterceptor{stages.stream(), v.stream}
	if o.Unary != nil {
		unary = append(unary, o.Unary)
	}
	if o.Stream != nil {
		stream = append(stream, o.Stream)
	}
	return unary, stream
}

// chain makes one interceptor of several, the outermost first.
func chain(all []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		next := handler
		for i := len(all) - 1; i >= 0; i-- {
			one, inner := all[i], next
			next = func(ctx context.Context, req any) (any, error) { return one(ctx, req, info, inner) }
		}
		return next(ctx, req)
	}
}

// deadline bounds a unary call whose caller set no bound or a longer one. It comes before all others,
// so that to every stage a call over its time is one that has ended.
func deadline(timeout time.Duration) stage {
	return func(ctx context.Context, _ string, next func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return next(ctx)
	}
}

// recovery is for a panic in a stage; one in a handler is turned into an error by errorMapping
// already, so that it is counted and logged like any other fault.
func recovery(logger *slog.Logger) stage {
	return func(ctx context.Context, method string, next func(context.Context) error) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = panicError(p)
				logger.ErrorContext(ctx, "panic in an interceptor", obs.KeyMethod, method, obs.KeyError, err.Error())
				err = apierr.Status(ctx, err, "").Err()
			}
		}()
		return next(ctx)
	}
}

func panicError(p any) error {
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}

func requestID() stage {
	return func(ctx context.Context, _ string, next func(context.Context) error) error {
		id := incomingRequestID(ctx)
		if id == "" {
			id = newRequestID()
		}
		ctx, _ = obs.WithCall(ctx, id)
		// Fails only when the header was sent already, which nobody did yet.
		_ = grpc.SetHeader(ctx, metadata.Pairs(RequestIDKey, id))
		return next(ctx)
	}
}

func metrics(m *obs.RPC) stage {
	return func(ctx context.Context, method string, next func(context.Context) error) error {
		if m == nil {
			return next(ctx)
		}
		start := time.Now()
		m.Started(method)
		// What a panic leaves behind.
		code, reason := codes.Internal.String(), ""
		defer func() { m.Finished(method, code, reason, time.Since(start)) }()
		err := next(ctx)
		code, reason = outcome(err)
		return err
	}
}

// outcome reads a mapped error: errorMapping has run inside.
func outcome(err error) (code, reason string) {
	st := status.Convert(err)
	if err == nil {
		return st.Code().String(), ""
	}
	if e, ok := apierr.FromStatus(st); ok {
		reason = apierr.Word(e.Reason)
	}
	return st.Code().String(), reason
}

// replicaCalls begins the names of the methods that replicas call.
const replicaCalls = "/aitbc.replica.v1."

// accessLog writes one line for each call when it has been answered, for a stream when it has ended.
// Health checks and what replicas say to each other, which come every second, are for debugging only.
func accessLog(logger *slog.Logger) stage {
	return func(ctx context.Context, method string, next func(context.Context) error) error {
		level := slog.LevelInfo
		if isHealth(method) || strings.HasPrefix(method, replicaCalls) {
			level = slog.LevelDebug
		}
		start := time.Now()
		err := next(ctx)
		if logger.Enabled(ctx, level) {
			logger.LogAttrs(ctx, level, "call", aboutCall(ctx, method, time.Since(start), err)...)
		}
		return err
	}
}

func aboutCall(ctx context.Context, method string, took time.Duration, err error) []slog.Attr {
	code, reason := outcome(err)
	attrs := []slog.Attr{
		slog.String(obs.KeyMethod, method),
		slog.String(obs.KeyCode, code),
		slog.Duration(obs.KeyDuration, took),
		slog.String(obs.KeyPeer, callerAddr(ctx)),
	}
	if reason != "" {
		attrs = append(attrs, slog.String(obs.KeyReason, reason))
	}
	if call := obs.CallOf(ctx); call != nil {
		attrs = append(attrs, call.Attrs()...)
	}
	return attrs
}

// errorMapping turns whatever a handler or a later stage returned into a status of ours, and logs
// the cause of what is our fault.
func errorMapping(logger *slog.Logger) stage {
	return func(ctx context.Context, method string, next func(context.Context) error) error {
		err := recovered(ctx, next)
		if err == nil {
			return nil
		}
		return mapped(ctx, logger, method, err)
	}
}

func mapped(ctx context.Context, logger *slog.Logger, method string, err error) error {
	e := apierr.From(ctx, err)
	id := obs.RequestID(ctx)
	if apierr.RowOf(e.Reason).Code == codes.Internal {
		logger.ErrorContext(ctx, "call failed", obs.KeyMethod, method, obs.KeyRequestID, id, obs.KeyError, err.Error())
	}
	return e.Status(id).Err()
}

func recovered(ctx context.Context, next func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = apierr.Internal(panicError(p))
		}
	}()
	return next(ctx)
}

func authorization(a Authorizer) stage {
	return func(ctx context.Context, method string, next func(context.Context) error) error {
		ctx, err := a.Authorize(ctx, method)
		if err != nil {
			return err
		}
		return next(ctx)
	}
}

func rateLimit(l Limiter) stage {
	return func(ctx context.Context, method string, next func(context.Context) error) error {
		if l != nil {
			if err := l.Allow(ctx, method); err != nil {
				return err
			}
		}
		return next(ctx)
	}
}
