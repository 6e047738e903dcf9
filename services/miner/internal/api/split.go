package api

import (
	"bufio"
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// preface begins HTTP/2 without TLS (RFC 9113, 3.4); no HTTP/1 method begins like it.
	preface = "PRI "
	// sniffLimit is how long a connection may take to say its first bytes.
	sniffLimit = 3 * time.Second
	// acceptPause is how long to wait after a connection that could not be accepted.
	acceptPause = 50 * time.Millisecond
	// maxSniffed bounds the connections that have not been handed over yet. One more ends the oldest
	// of them: whoever means it has long said something by then.
	maxSniffed = 256
)

// split divides a listener's connections between gRPC and everything else.
type split struct {
	listener net.Listener
	grpc     *handover
	rest     *handover
}

func newSplit(listener net.Listener) *split {
	return &split{listener: listener, grpc: newHandover(listener.Addr()), rest: newHandover(listener.Addr())}
}

// Run accepts until ctx ends.
func (s *split) Run(ctx context.Context) error {
	var sniffers sync.WaitGroup
	defer sniffers.Wait()
	defer context.AfterFunc(ctx, func() { _ = s.listener.Close() })() // ends Accept
	waiting := &queue{bound: maxSniffed}
	for {
		conn, err := s.listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept on %s: %w", s.listener.Addr(), err)
		}
		if err != nil { // out of file descriptors, or the caller gave up: others may still come
			pause(ctx)
			continue
		}
		sniffCtx, leave := waiting.join(ctx)
		sniffers.Go(func() {
			defer leave()
			s.sniff(sniffCtx, conn)
		})
	}
}

func pause(ctx context.Context) {
	timer := time.NewTimer(acceptPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// queue holds who waits, up to a bound.
type queue struct {
	bound int

	mu      sync.Mutex
	waiting list.List // of context.CancelFunc, oldest first
}

// join gives a context that ends when leave is called, or when too many have joined since.
func (q *queue) join(ctx context.Context) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.Len() >= q.bound {
		q.waiting.Remove(q.waiting.Front()).(context.CancelFunc)()
	}
	place := q.waiting.PushBack(cancel)
	return ctx, func() {
		cancel()
		q.mu.Lock()
		defer q.mu.Unlock()
		q.waiting.Remove(place) // nothing, when it is no longer there
	}
}

// sniff hands a connection over by its first bytes, or closes it.
func (s *split) sniff(ctx context.Context, conn net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })() // ends Peek
	reader := bufio.NewReader(conn)
	err := conn.SetReadDeadline(time.Now().Add(sniffLimit))
	first, peekErr := reader.Peek(len(preface))
	if err = errors.Join(err, peekErr, conn.SetReadDeadline(time.Time{})); err != nil {
		_ = conn.Close() // it said nothing, so nobody waits for a word about it
		return
	}
	to := s.rest
	if string(first) == preface {
		to = s.grpc
	}
	to.give(ctx, &sniffed{Conn: conn, reader: reader})
}

// sniffed is a connection whose first bytes were read ahead.
type sniffed struct {
	net.Conn
	reader *bufio.Reader
}

// Read implements net.Conn.
func (c *sniffed) Read(b []byte) (int, error) { return c.reader.Read(b) }

// handover is a listener that is given its connections.
type handover struct {
	addr   net.Addr
	conns  chan net.Conn // never closed; holds none
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*handover)(nil)

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (h *handover) give(ctx context.Context, conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		_ = conn.Close()
	case <-ctx.Done():
		_ = conn.Close()
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }
