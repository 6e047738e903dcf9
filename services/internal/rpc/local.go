package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// localBufferBytes is the in-process connection's buffer in each direction.
const localBufferBytes = 256 << 10

// localWindow is how much may be sent ahead inside the process, where nothing is on its way, in bytes.
const localWindow = 64 << 10

// Conn is a way in from within the process, which passes all stages as a network call does. It is for
// REST gateways and tests; the caller closes it. Calls wait until Run serves.
func (s *Server) Conn() (*LocalConn, error) {
	conn, err := grpc.NewClient("passthrough:///in-process",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.local.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(localWindow),
		grpc.WithStaticConnWindowSize(localWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(localMaxAnswerBytes)),
	)
	if err != nil {
		return nil, fmt.Errorf("opening the in-process connection: %w", err)
	}
	return &LocalConn{ClientConn: conn, server: s}, nil
}

// localMaxAnswerBytes is wide: our own handlers bound their answers.
const localMaxAnswerBytes = 64 << 20

// inProcessAddr is where a call from within the process comes from.
type inProcessAddr struct{}

// Network implements net.Addr.
func (inProcessAddr) Network() string { return "in-process" }

// String implements net.Addr.
func (inProcessAddr) String() string { return "in-process" }

// localListener marks its connections, so that credentials and logs know them.
type localListener struct{ *bufconn.Listener }

func newLocalListener() *localListener {
	return &localListener{bufconn.Listen(localBufferBytes)}
}

// Accept implements net.Listener.
func (l *localListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &localConn{conn}, nil
}

type localConn struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (*localConn) RemoteAddr() net.Addr { return inProcessAddr{} }

// serverCredentials ask for TLS on the network and for nothing inside the process.
type serverCredentials struct {
	// TransportCredentials are those of the network.
	credentials.TransportCredentials
}

func newServerCredentials(config *tls.Config) credentials.TransportCredentials {
	if config == nil {
		return insecure.NewCredentials()
	}
	return &serverCredentials{credentials.NewTLS(config)}
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *serverCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if _, local := conn.(*localConn); local {
		return insecure.NewCredentials().ServerHandshake(conn)
	}
	return c.TransportCredentials.ServerHandshake(conn)
}

// Clone implements credentials.TransportCredentials.
func (c *serverCredentials) Clone() credentials.TransportCredentials {
	return &serverCredentials{c.TransportCredentials.Clone()}
}
