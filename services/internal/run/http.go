package run

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

const (
	// A caller that sends its header slower than this is not served.
	readHeaderTimeout = 10 * time.Second
	// An idle connection is kept this long.
	httpIdleTimeout = 2 * time.Minute
	// Requests under way get this long when the server stops.
	httpGrace = 5 * time.Second
	maxHeader = 64 << 10
)

// HTTP is an HTTP server as a Part.
type HTTP struct {
	listener net.Listener
	server   *http.Server
}

var _ Part = (*HTTP)(nil)

// NewHTTP serves the handler on the listener, which it owns from then on. For TLS give a TLS listener.
func NewHTTP(listener net.Listener, handler http.Handler) *HTTP {
	return &HTTP{listener: listener, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    maxHeader,
	}}
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
