package api

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnectionsAreDividedByTheirFirstBytes(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := newSplit(listener)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	dial := func() net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	dial() // says nothing, and holds nobody up

	for first, to := range map[string]*handover{"PRI * HTTP/2.0\r\n": s.grpc, "GET / HTTP/1.1\r\n": s.rest} {
		_, err = dial().Write([]byte(first))
		require.NoError(t, err)
		got, err := to.Accept()
		require.NoError(t, err)
		read := make([]byte, len(first))
		_, err = got.Read(read)
		require.NoError(t, err)
		require.Equal(t, first, string(read), "nothing is lost")
		require.NoError(t, got.Close())
	}

	require.NoError(t, s.rest.Close())
	turnedAway := dial()
	_, err = turnedAway.Write([]byte("GET / HTTP/1.1\r\n"))
	require.NoError(t, err)
	require.NoError(t, turnedAway.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = turnedAway.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)

	cancel()
	require.NoError(t, <-ended)
}

// The owner's port answers however many others connect and say nothing.
func TestSilentConnectionsDoNotBlockTheOwner(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := newSplit(listener)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	dial := func() net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	began := time.Now()
	oldest := dial()
	for range maxSniffed {
		dial()
	}
	_, err = dial().Write([]byte("GET / HTTP/1.1\r\n"))
	require.NoError(t, err)
	owner, err := s.rest.Accept()
	require.NoError(t, err)
	require.NoError(t, owner.Close())
	_, err = oldest.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "it made room")
	require.Less(t, time.Since(began), sniffLimit, "nobody had to wait for the others' time to pass")
	cancel()
	require.NoError(t, <-ended)
}
