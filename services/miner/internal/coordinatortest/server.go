package coordinatortest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// patience bounds every wait of a test; none takes nearly so long.
const patience = time.Minute

// Server is a coordinator that takes miners' sessions and does as the test says.
type Server struct {
	coordinatorv1.UnimplementedSessionServiceServer

	operator  Operator
	listener  net.Listener
	dial      func(context.Context) (net.Conn, error)
	server    *grpc.Server
	sessions  chan *Session
	heartbeat time.Duration
	over      chan struct{}
	ending    sync.Once

	// Spoil, when set, changes the challenge before it is sent.
	Spoil func(*coordinatorv1.SessionChallenge)
}

// Start starts a server inside the process, which ends with the test. A nil config means plaintext.
func Start(t testing.TB, operator Operator, security *tls.Config) *Server {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	s := start(t, operator, security, listener)
	s.dial = listener.DialContext
	return s
}

// StartTCP starts a plaintext server on a free port of the loopback, which ends with the test.
func StartTCP(t testing.TB, operator Operator) *Server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return start(t, operator, nil, listener)
}

func start(t testing.TB, operator Operator, security *tls.Config, listener net.Listener) *Server {
	t.Helper()
	options := []grpc.ServerOption{}
	if security != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(security)))
	}
	s := &Server{
		operator: operator, listener: listener, server: grpc.NewServer(options...),
		sessions: make(chan *Session), heartbeat: 200 * time.Millisecond, over: make(chan struct{}),
	}
	coordinatorv1.RegisterSessionServiceServer(s.server, s)
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.listener) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; !errors.Is(err, grpc.ErrServerStopped) { // stopped before it had begun
			require.NoError(t, err)
		}
	})
	return s
}

// Stop ends the server and its sessions.
func (s *Server) Stop() {
	s.ending.Do(func() { close(s.over) })
	s.server.Stop()
}

// Dial connects to a server of Start's, whatever the address.
func (s *Server) Dial(ctx context.Context, _ string) (net.Conn, error) { return s.dial(ctx) }

// Addr is the address of a server of StartTCP's.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Session is one authenticated session.
type Session struct {
	// Miner is who it is.
	Miner aitbc.AccountID

	frames chan *coordinatorv1.ConnectRequest
	orders chan *coordinatorv1.ConnectResponse
	drop   chan error // holds one
	ended  chan struct{}
}

// Connect implements the protocol.
func (s *Server) Connect(stream grpc.BidiStreamingServer[coordinatorv1.ConnectRequest, coordinatorv1.ConnectResponse]) error {
	miner, err := s.authenticate(stream)
	if err != nil {
		return err
	}
	welcome := &coordinatorv1.SessionWelcome{SessionId: "session", HeartbeatInterval: durationpb.New(s.heartbeat), WantsProgress: true}
	if err := stream.Send(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	session := &Session{
		Miner: miner, frames: make(chan *coordinatorv1.ConnectRequest, 1000), orders: make(chan *coordinatorv1.ConnectResponse),
		drop: make(chan error, 1), ended: make(chan struct{}),
	}
	defer close(session.ended)
	hungUp := make(chan struct{})
	go func() { // ends with the stream
		defer close(hungUp)
		defer close(session.frames)
		for {
			frame, err := stream.Recv()
			if err != nil {
				return
			}
			session.frames <- frame
		}
	}()
	select {
	case s.sessions <- session:
	case <-s.over:
		return nil
	case <-stream.Context().Done():
		return nil
	}
	for {
		select {
		case order := <-session.orders:
			if err := stream.Send(order); err != nil {
				return err
			}
		case err := <-session.drop:
			return err
		case <-hungUp:
			return nil
		case <-stream.Context().Done():
			return nil
		case <-s.over:
			return nil
		}
	}
}

func (s *Server) authenticate(stream grpc.BidiStreamingServer[coordinatorv1.ConnectRequest, coordinatorv1.ConnectResponse]) (aitbc.AccountID, error) {
	frame, err := stream.Recv()
	if err != nil {
		return aitbc.AccountID{}, err
	}
	hello := frame.GetHello()
	miner, err := aitbc.ParseAccountID(hello.GetMinerId())
	if err != nil || hello.GetProtocol() != 1 {
		return aitbc.AccountID{}, fmt.Errorf("bad hello %v: %w", hello, err)
	}
	body := aitbc.SessionChallenge{ChainID: ChainID, Operator: Account(s.operator.Key), Miner: miner}
	if _, err := rand.Read(body.Challenge[:]); err != nil {
		return aitbc.AccountID{}, err
	}
	if body.ChannelBinding, err = binding(stream.Context()); err != nil {
		return aitbc.AccountID{}, err
	}
	challenge := &coordinatorv1.SessionChallenge{
		ChainId: ChainID, OperatorId: body.Operator.String(), Challenge: body.Challenge[:],
		OperatorPublicKey: s.operator.Key.Public().(ed25519.PublicKey),
	}
	if s.Spoil != nil {
		s.Spoil(challenge)
	}
	if err := stream.Send(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Challenge{Challenge: challenge}}); err != nil {
		return aitbc.AccountID{}, err
	}
	if frame, err = stream.Recv(); err != nil {
		return aitbc.AccountID{}, err
	}
	proof := frame.GetAuthentication()
	if aitbc.AccountOf(proof.GetPublicKey()) != miner || !aitbc.Verify(proof.GetPublicKey(), body.SigningBytes(), proof.GetSignature()) {
		return aitbc.AccountID{}, errors.New("the proof does not check")
	}
	return miner, nil
}

func binding(ctx context.Context) ([]byte, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, errors.New("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return []byte(aitbc.PlaintextBinding), nil
	}
	return info.State.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
}
