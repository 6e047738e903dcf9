package run

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// A caller that sends its header or its body slower than this is not served.
	readHeaderTimeout = 10 * time.Second
	readBodyTimeout   = 30 * time.Second
	// An idle connection is kept this long.
	httpIdleTimeout = 2 * time.Minute
	// Requests under way get this long when the server stops.
	httpGrace = 5 * time.Second
	maxHeader = 64 << 10
	// maxConnections bounds the connections of one listener; more are closed at once.
	maxConnections = 4096
)

// HTTP is an HTTP server as a Part.
type HTTP struct {
	listener    net.Listener
	server      *http.Server
	connections atomic.Int64
}

var _ Part = (*HTTP)(nil)

// NewHTTP serves the handler on the listener, which it owns from then on. For TLS give a TLS listener.
// Answers may take any time: a handler that streams bounds its own writes.
func NewHTTP(listener net.Listener, handler http.Handler) *HTTP {
	h := &HTTP{listener: listener}
	h.server = &http.Server{
		Handler:           bodyInTime(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         h.count,
	}
	return h
}

// count keeps the number of connections within its bound.
func (h *HTTP) count(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if h.connections.Add(1) > maxConnections {
			_ = conn.Close() // whoever it is has not asked for anything yet
		}
	case http.StateClosed, http.StateHijacked:
		h.connections.Add(-1)
	default:
	}
}

// bodyInTime gives each request's body a deadline. The server's own one for the whole request would
// go on while the answer is written, and end streams.
func bodyInTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		if err := control.SetReadDeadline(time.Now().Add(readBodyTimeout)); err == nil {
			r.Body = &timedBody{ReadCloser: r.Body, control: control}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody is a body with a deadline, which ends with it.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (b *timedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // it could be set, so it can be lifted
	}
	return n, err
}

// Addr is where it listens.
func (h *HTTP) Addr() net.Addr { return h.listener.Addr() }

// Run serves until ctx ends, then lets requests under way finish for a moment, then cuts them off.
func (h *HTTP) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(h.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	graceCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpGrace)
	defer cancel()
	err := h.server.Shutdown(graceCtx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.server.Close()
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
