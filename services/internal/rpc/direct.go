package rpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// LocalConn is the way to a server from within its process. Unary calls run on the caller's goroutine
// through the same stages as those of the network, without an HTTP/2 connection between; streams take a
// connection in memory.
type LocalConn struct {
	*grpc.ClientConn // of streams, and of what the library itself serves
	server           *Server
}

var _ grpc.ClientConnInterface = (*LocalConn)(nil)

// method is a unary method as it was registered.
type method struct {
	implementation any
	handler        grpc.MethodHandler
}

// Invoke implements grpc.ClientConnInterface. Messages are copied both ways, as a connection would.
func (c *LocalConn) Invoke(ctx context.Context, name string, args, reply any, options ...grpc.CallOption) error {
	m, known := c.server.methods[name]
	in, isMessage := args.(proto.Message)
	out, alsoMessage := reply.(proto.Message)
	if !known || !isMessage || !alsoMessage {
		return c.ClientConn.Invoke(ctx, name, args, reply, options...)
	}
	if err := c.server.shed(ctx, name); err != nil {
		return err
	}
	told := &told{method: name}
	ctx, leave, err := c.server.calls.enter(ctx, told)
	if err != nil {
		return err
	}
	defer leave()
	decode := func(into any) error {
		proto.Merge(into.(proto.Message), in)
		return nil
	}
	answer, err := m.handler(m.implementation, incoming(ctx, told), decode, c.server.unary)
	told.tell(options)
	if err != nil {
		return status.Convert(err).Err()
	}
	proto.Reset(out)
	proto.Merge(out, answer.(proto.Message))
	return nil
}

// incoming makes the context of a caller that of a handler.
func incoming(ctx context.Context, told *told) context.Context {
	sent, _ := metadata.FromOutgoingContext(ctx)
	ctx = metadata.NewOutgoingContext(ctx, metadata.MD{}) // the handler's own calls begin without
	ctx = metadata.NewIncomingContext(ctx, sent)
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: inProcessAddr{}})
	return grpc.NewContextWithServerTransportStream(ctx, told)
}

// told is what a handler tells beside its answer.
type told struct {
	method string

	mu              sync.Mutex
	header, trailer metadata.MD
}

var _ grpc.ServerTransportStream = (*told)(nil)

// Method implements grpc.ServerTransportStream.
func (t *told) Method() string { return t.method }

// SetHeader implements grpc.ServerTransportStream.
func (t *told) SetHeader(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.header = metadata.Join(t.header, md)
	return nil
}

// SendHeader implements grpc.ServerTransportStream. It goes with the answer.
func (t *told) SendHeader(md metadata.MD) error { return t.SetHeader(md) }

// SetTrailer implements grpc.ServerTransportStream.
func (t *told) SetTrailer(md metadata.MD) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trailer = metadata.Join(t.trailer, md)
	return nil
}

// tell gives it to a caller who asked.
func (t *told) tell(options []grpc.CallOption) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, option := range options {
		switch o := option.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = t.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = t.trailer
		}
	}
}

// calls are the calls on callers' goroutines, which the server's end waits for.
type calls struct {
	// serving is closed when calls are taken.
	serving chan struct{}

	mu      sync.Mutex
	stopped bool
	// cancels end the running ones.
	cancels map[*told]context.CancelFunc
	running sync.WaitGroup
}

func newCalls() *calls {
	return &calls{serving: make(chan struct{}), cancels: map[*told]context.CancelFunc{}}
}

// enter waits until calls are taken, and counts one in; leave counts it out.
func (c *calls) enter(ctx context.Context, t *told) (_ context.Context, leave func(), err error) {
	select {
	case <-c.serving:
	case <-ctx.Done():
		return nil, nil, status.FromContextError(ctx.Err()).Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil, nil, status.Error(codes.Unavailable, "the server is stopping")
	}
	c.running.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	c.cancels[t] = cancel
	return ctx, func() {
		cancel()
		c.mu.Lock()
		delete(c.cancels, t)
		c.mu.Unlock()
		c.running.Done()
	}, nil
}

// refuse ends the taking of calls.
func (c *calls) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
}

// cut tells the running ones to end.
func (c *calls) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cancel := range c.cancels {
		cancel()
	}
}
