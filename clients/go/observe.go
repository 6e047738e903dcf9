package aitbc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Observer is told of each try of each call: the method's full name, such as
// "/aitbc.coordinator.v1.JobService/SubmitJob", and the try's number, from 1. A stream is one try. The try
// runs in the context that the observer gives, whose outgoing gRPC metadata goes with it (over REST, as
// headers): so a trace goes on at the other end. Done, unless it is nil, is called at its end with what the
// try failed with; nil: nothing. An observer is called from many goroutines at once and must not wait.
//
// With OpenTelemetry, which this package does not depend on:
//
//	aitbc.WithObserver(func(ctx context.Context, method string, try int) (context.Context, func(error)) {
//		ctx, span := tracer.Start(ctx, method, trace.WithAttributes(attribute.Int("try", try)))
//		carrier := propagation.MapCarrier{}
//		otel.GetTextMapPropagator().Inject(ctx, carrier)
//		for key, value := range carrier {
//			ctx = metadata.AppendToOutgoingContext(ctx, key, value)
//		}
//		return ctx, func(err error) {
//			if err != nil {
//				span.SetStatus(otelcodes.Error, err.Error())
//			}
//			span.End()
//		}
//	})
type Observer func(ctx context.Context, method string, try int) (_ context.Context, done func(err error))

// WithObserver tells an observer of every try of every call, on either transport. Given again, all of them
// are told, the last one first to begin.
func WithObserver(o Observer) Option {
	return func(c *config) { c.observers = append(c.observers, o) }
}

// WithStatsHandler has gRPC tell a handler of everything on gRPC targets, such as OpenTelemetry's
// otelgrpc.NewClientHandler(). For http:// and https:// targets, give [WithHTTPClient] a transport that
// does the like.
func WithStatsHandler(h stats.Handler) Option {
	return func(c *config) { c.stats = append(c.stats, h) }
}

// observe begins a try.
func (c config) observe(ctx context.Context, method string, try int) (context.Context, func(error)) {
	var all []func(error)
	for i := len(c.observers) - 1; i >= 0; i-- {
		var done func(error)
		if ctx, done = c.observers[i](ctx, method, try); done != nil {
			all = append(all, done)
		}
	}
	return ctx, func(err error) {
		for i := len(all) - 1; i >= 0; i-- {
			all[i](err)
		}
	}
}

// observedStream tells of a stream's end: its last event, the first error of a read, or the end of its
// context.
type observedStream struct {
	grpc.ClientStream
	stop func() bool
	done func(error)
}

func observeStream(stream grpc.ClientStream, done func(error)) grpc.ClientStream {
	ctx := stream.Context()
	s := &observedStream{ClientStream: stream, done: done}
	s.stop = context.AfterFunc(ctx, func() { done(context.Cause(ctx)) })
	return s
}

// RecvMsg implements grpc.ClientStream.
func (s *observedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	event, _ := m.(*coordinatorv1.WatchJobResponse)
	last := errors.Is(err, io.EOF) || err == nil && event.GetDone() != nil // behind which nobody reads
	if (last || err != nil) && s.stop() {                                  // once, and not when the context's end has told
		if last {
			s.done(nil)
		} else {
			s.done(err)
		}
	}
	return err
}
