package rpc

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// stage is an interceptor written once for unary calls and streams: it runs next, or does not.
type stage func(ctx context.Context, method string, next func(context.Context) error) error

// compose makes one stage of several, the outermost first: one interceptor for all of them takes a third of
// the stack that one for each takes, which counts while thousands of streams are open.
func compose(stages ...stage) stage {
	return func(ctx context.Context, method string, next func(context.Context) error) error {
		for _, s := range slices.Backward(stages) {
			inner := next
			next = func(ctx context.Context) error { return s(ctx, method, inner) }
		}
		return next(ctx)
	}
}

func (s stage) unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		var resp any
		err := s(ctx, info.FullMethod, func(ctx context.Context) error {
			var err error
			resp, err = handler(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
}

func (s stage) stream() grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return s(stream.Context(), info.FullMethod, func(ctx context.Context) error {
			return handler(srv, &contextStream{ServerStream: stream, ctx: ctx})
		})
	}
}

// contextStream is a stream whose context a stage has replaced.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *contextStream) Context() context.Context { return s.ctx }
