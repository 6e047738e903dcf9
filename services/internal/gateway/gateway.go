package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

const (
	// DefaultMaxBodyBytes bounds a request body, unless what its call takes can be longer.
	DefaultMaxBodyBytes = 1 << 20
	// DefaultTimeout bounds a call.
	DefaultTimeout = 30 * time.Second
)

// Options are what a gateway is made of. Logger is required.
type Options struct {
	// Logger gets one line for each request that never became a call.
	Logger *slog.Logger
	// Metrics counts those; nil: nobody does.
	Metrics *obs.RPC
	// Authorizer is asked before a body is read, so that nobody without a key makes the gateway hold
	// one; the call itself is authorised behind it like any other. Nil: bodies are read unasked.
	Authorizer rpc.Authorizer
	// MaxBodyBytes bounds every request body; zero: DefaultMaxBodyBytes, and where the contract's
	// limits allow for more, that.
	MaxBodyBytes int64
	// Timeout bounds a call; zero: DefaultTimeout.
	Timeout time.Duration
	// Events are the methods that are served as server-sent events.
	Events []EventStream
}

// Service is one service to serve.
type Service struct {
	Descriptor protoreflect.ServiceDescriptor
	// Register is what Over makes.
	Register func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error
}

// Over makes a Service's Register of its generated RegisterXHandlerClient and NewXClient.
func Over[C any](
	register func(ctx context.Context, mux *runtime.ServeMux, client C) error, client func(grpc.ClientConnInterface) C,
) func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error {
	return func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
		return register(ctx, mux, client(conn))
	}
}

// Gateway is the handler of all REST routes of some services.
type Gateway struct {
	options Options
	mux     *runtime.ServeMux
	routes  map[string]*route
}

var _ http.Handler = (*Gateway)(nil)

// New serves the services over the connection, which stays the caller's to close.
func New(ctx context.Context, o Options, conn grpc.ClientConnInterface, services ...Service) (*Gateway, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	g := &Gateway{options: o, routes: make(map[string]*route)}
	g.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newMarshaler()),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(g.handleError),
		runtime.WithRoutingErrorHandler(g.handleRoutingError),
		runtime.WithMiddlewares(g.strict),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
	)
	for _, service := range services {
		routes, err := routesOf(service.Descriptor)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			if r.maxBody = o.MaxBodyBytes; r.maxBody == 0 {
				r.maxBody = bodyLimit(r.input.Descriptor())
			}
			g.routes[r.key()] = r
		}
		if err := service.Register(ctx, g.mux, conn); err != nil {
			return nil, err
		}
	}
	for _, events := range o.Events {
		if err := g.addEvents(events); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// It would set the call's deadline, which is ours to set.
	r.Header.Del("Grpc-Timeout")
	g.mux.ServeHTTP(w, r)
}

// incomingHeader passes keys and the idempotency key on, and nothing that a caller could use to
// write metadata of its own.
func incomingHeader(name string) (string, bool) {
	switch http.CanonicalHeaderKey(name) {
	case "X-Api-Key", "X-Miner-Key", "Idempotency-Key":
		return strings.ToLower(name), true
	default:
		return "", false
	}
}

func outgoingHeader(name string) (string, bool) {
	switch name {
	case rpc.RequestIDKey:
		return "X-Request-Id", true
	case "ratelimit-limit":
		return "RateLimit-Limit", true
	case "ratelimit-remaining":
		return "RateLimit-Remaining", true
	case "ratelimit-reset":
		return "RateLimit-Reset", true
	}
	return "", false
}
