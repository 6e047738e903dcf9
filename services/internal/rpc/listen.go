package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen opens a TCP port. When it is taken the error names the flag that changes it.
func Listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another program: stop that one, or choose another address with --%s: %w", addr, flag, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s cannot be listened on: choose another address with --%s: %w", addr, flag, err)
	default:
		return nil, fmt.Errorf("listening on %s (--%s): %w", addr, flag, err)
	}
}

// Security is how a port is protected.
type Security struct {
	// CertFile and KeyFile are PEM files; both or none.
	CertFile string
	KeyFile  string
	// Insecure allows plaintext off loopback.
	Insecure bool
}

// ServerTLS loads the certificate, or gives nil for plaintext. Off loopback plaintext must be asked
// for: keys and prompts travel on these ports.
func (s Security) ServerTLS(addr string) (*tls.Config, error) {
	if (s.CertFile == "") != (s.KeyFile == "") {
		return nil, errors.New("--tls-cert and --tls-key go together")
	}
	if s.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("loading the TLS certificate (--tls-cert, --tls-key): %w", err)
		}
		return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
	}
	if s.Insecure || IsLoopback(addr) {
		return nil, nil
	}
	return nil, fmt.Errorf("%s is not a loopback address: give --tls-cert and --tls-key, or --insecure", addr)
}

// IsLoopback reports whether a listen address is reachable from this machine only.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
