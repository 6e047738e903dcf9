package aitbc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	apiKeyHeader    = "x-api-key"
	requestIDHeader = "x-request-id"
)

// caller is what every call passes through, on either transport: the API key, a deadline for each
// try, the retries, and errors made into [*Error].
type caller struct {
	next   grpc.ClientConnInterface
	cfg    config
	target string
	jitter func() float64
}

var _ grpc.ClientConnInterface = (*caller)(nil)

// Invoke makes one call; its error is an [*Error].
func (c *caller) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.cfg.apiKey != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, apiKeyHeader, c.cfg.apiKey)
	}
	for try := 1; ; try++ {
		failure := c.once(ctx, method, try, args, reply, opts)
		if failure == nil {
			return nil
		}
		failure.Tries = try
		delay, again := c.cfg.retry.pause(try, failure, c.jitter())
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
			again = false // the answer we have says more than "deadline exceeded" would
		}
		if !again || sleep(ctx, delay) != nil {
			return failure
		}
	}
}

func (c *caller) once(ctx context.Context, method string, try int, args, reply any, opts []grpc.CallOption) (failure *Error) {
	if c.cfg.callTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.callTimeout)
		defer cancel()
	}
	ctx, done := c.cfg.observe(ctx, method, try)
	defer func() {
		if failure == nil {
			done(nil)
			return
		}
		done(failure)
	}()
	var header, trailer metadata.MD
	opts = append([]grpc.CallOption{grpc.Header(&header), grpc.Trailer(&trailer)}, opts...)
	err := c.next.Invoke(ctx, method, args, reply, opts...)
	if err == nil {
		return nil
	}
	failure = errorOf(status.Convert(err), c.target, ctx.Err())
	for _, md := range []metadata.MD{header, trailer} {
		if id := md.Get(requestIDHeader); len(id) > 0 && failure.RequestID == "" {
			failure.RequestID = id[0]
		}
	}
	return failure
}

// NewStream opens a stream, without a deadline of its own and without retries: who reads it knows
// where to go on.
func (c *caller) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.cfg.apiKey != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, apiKeyHeader, c.cfg.apiKey)
	}
	if len(c.cfg.observers) == 0 {
		return c.next.NewStream(ctx, desc, method, opts...)
	}
	ctx, done := c.cfg.observe(ctx, method, 1)
	stream, err := c.next.NewStream(ctx, desc, method, opts...)
	if err != nil {
		done(err)
		return nil, err
	}
	return observeStream(stream, done), nil
}
