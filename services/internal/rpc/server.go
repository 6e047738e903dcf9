package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/aitbc/aitbc/services/internal/obs"
)

const (
	// DefaultMaxMessageBytes bounds a received message: the largest, a result of 1 MiB with its
	// statement, fits several times.
	DefaultMaxMessageBytes = 4 << 20
	// DefaultGrace is how long calls under way may take when the server stops.
	DefaultGrace = 5 * time.Second
	// DefaultTimeout bounds a unary call.
	DefaultTimeout = 30 * time.Second

	maxConcurrentStreams = 1000
	maxHeaderListBytes   = 64 << 10
	connectionTimeout    = 10 * time.Second
	maxConnectionIdle    = 15 * time.Minute
	keepaliveTime        = time.Minute
	keepaliveTimeout     = 10 * time.Second
	// streamWindow and connectionWindow are how much a peer may send ahead, in bytes. That they are fixed spares
	// the library's measuring of the way, a ping and its answer at every message that comes alone, as heartbeats
	// and most calls do; at 100 ms there and back 5 MB/s still pass.
	streamWindow     = 512 << 10
	connectionWindow = 1 << 20
	// A peer may ping this often, with or without calls.
	minPingInterval = 5 * time.Second
)

// Authorizer decides who may call what.
type Authorizer interface {
	// Authorize refuses the call with an error, or gives the context that the handler gets. A
	// method it does not know must be refused. It is called from many goroutines.
	Authorize(ctx context.Context, method string) (context.Context, error)
}

// Limiter decides how often an authorised caller may call.
type Limiter interface {
	// Allow refuses the call with an error. It must not wait.
	Allow(ctx context.Context, method string) error
}

// Options are what a server is made of. Logger and Authorizer are required.
type Options struct {
	// Logger gets one line per call.
	Logger *slog.Logger
	// Metrics counts calls; nil: nobody does.
	Metrics *obs.RPC
	// Authorizer decides who may call what.
	Authorizer Authorizer
	// Limiter bounds the rate of calls; nil: nothing does.
	Limiter Limiter
	// Shed refuses calls of a method before anything is done for them, even before it is known whose they
	// are; such calls are counted and not logged. It must cost next to nothing. Nil: nothing does.
	Shed func(method string) error
	// TLS is the transport security of Run's listener; nil: plaintext.
	TLS *tls.Config
	// Unary and Stream come last, around the handlers, which get valid requests of authorised callers
	// from them; nil: nothing does.
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
	// MaxMessageBytes bounds a received message; zero: DefaultMaxMessageBytes.
	MaxMessageBytes int
	// Timeout bounds a unary call, whatever its caller asked for; zero: DefaultTimeout.
	Timeout time.Duration
	// Grace is how long calls under way may take when the server stops; zero: DefaultGrace.
	Grace time.Duration
}

// Server is a gRPC server with health and reflection. Services are registered on it before Run.
type Server struct {
	server *grpc.Server
	health *health.Server
	local  *localListener
	// What LocalConn calls: methods are written before Run.
	calls    *calls
	shed     shed
	unary    grpc.UnaryServerInterceptor
	methods  map[string]method
	listener net.Listener
	grace    time.Duration
	// stopping is closed by Run when it begins to stop.
	stopping chan struct{}
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// NewServer makes a server for the listener, which it owns from then on. With a nil listener it
// answers Conn only.
func NewServer(listener net.Listener, o Options) (*Server, error) {
	if o.Logger == nil || o.Authorizer == nil {
		return nil, errors.New("a gRPC server needs a logger and an authorizer")
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	v, err := newValidation()
	if err != nil {
		return nil, err
	}
	unary, stream := interceptors(o, v)
	shed := shedding(o.Shed, o.Metrics)
	options := append(limits(o.MaxMessageBytes), grpc.InTapHandle(shed.tap), grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...))
	s := &Server{
		server:   grpc.NewServer(append(options, grpc.Creds(newServerCredentials(o.TLS)))...),
		health:   health.NewServer(),
		local:    newLocalListener(),
		calls:    newCalls(),
		shed:     shed,
		unary:    chain(unary),
		methods:  map[string]method{},
		listener: listener,
		grace:    o.Grace,
		stopping: make(chan struct{}),
	}
	healthv1.RegisterHealthServer(s.server, s.health)
	reflection.Register(s.server)
	return s, nil
}

func limits(maxMessageBytes int) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.MaxHeaderListSize(maxHeaderListBytes),
		grpc.ConnectionTimeout(connectionTimeout),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxConnectionIdle,
			Time:              keepaliveTime,
			Timeout:           keepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             minPingInterval,
			PermitWithoutStream: true,
		}),
		// Handlers end before Stop returns: nothing may use a closed store.
		grpc.WaitForHandlers(true),
	}
}

// DialOptions are those of every client that the services have of each other's servers.
func DialOptions(maxAnswerBytes int) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connectionWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
	}
}

// RegisterService implements grpc.ServiceRegistrar.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	s.server.RegisterService(desc, implementation)
	for _, m := range desc.Methods {
		s.methods["/"+desc.ServiceName+"/"+m.MethodName] = method{implementation, m.Handler}
	}
	s.health.SetServingStatus(desc.ServiceName, healthv1.HealthCheckResponse_SERVING)
}

// Methods lists the full names of all registered methods, for tests that hold the authorizer's
// rules against them.
func (s *Server) Methods() []string {
	var methods []string
	for service, info := range s.server.GetServiceInfo() {
		for _, method := range info.Methods {
			methods = append(methods, "/"+service+"/"+method.Name)
		}
	}
	return methods
}

// Stopping is closed when the server begins to stop. Handlers of long streams must return then; else
// they are cut off when the grace is over.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// Health is the server's health service; NOT_SERVING is set by Run when it stops.
func (s *Server) Health() *health.Server { return s.health }

// Addr is where it listens; nil without a listener.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends, then refuses new calls, lets those under way finish until the grace is
// over, and cuts off the rest. It waits for all handlers.
func (s *Server) Run(ctx context.Context) error {
	listeners := []net.Listener{s.local}
	if s.listener != nil {
		listeners = append(listeners, s.listener)
	}
	served := make(chan error, len(listeners))
	for _, listener := range listeners {
		go func() { served <- s.server.Serve(listener) }()
	}
	close(s.calls.serving)
	var err error
	running := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-served:
		running--
	}
	s.stop()
	for range running {
		// Stopped before it began to serve: that is what was asked for.
		if serveErr := <-served; !errors.Is(serveErr, grpc.ErrServerStopped) {
			err = errors.Join(err, serveErr)
		}
	}
	if err != nil {
		return fmt.Errorf("serving gRPC: %w", err)
	}
	return nil
}

func (s *Server) stop() {
	close(s.stopping)
	s.calls.refuse()
	s.health.Shutdown()
	stopped := make(chan struct{})
	go func() {
		s.server.GracefulStop()
		s.calls.running.Wait()
		close(stopped)
	}()
	timer := time.NewTimer(s.grace)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
		s.server.Stop()
		s.calls.cut()
		<-stopped
	}
}
