package coordinator

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/aitbc/aitbc/services/coordinator/internal/replica"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// ErrFenced says that another replica took over from this one, which was silent for too long: paused,
// or cut off from the database. Nothing that it did since counts. A new Service may begin.
var ErrFenced = store.ErrFenced

// nameFile is the file in the state folder by which a replica is known after a restart.
const nameFile = "replica.id"

// join makes this process one of the replicas that share the store.
func (s *Service) join(ctx context.Context, st store.Store, chainID string) (*replica.Member, error) {
	self, err := s.self()
	if err != nil {
		return nil, err
	}
	return replica.Join(ctx, replica.DefaultConfig(), replica.Deps{
		Store: st, ChainID: chainID, Key: s.operator, Log: s.deps.Logger,
	}, self)
}

// self is what the others are told of this process.
func (s *Service) self() (r store.Replica, err error) {
	if r.Name, err = replicaName(s.cfg.StateDir); err != nil {
		return r, err
	}
	if r.Address, err = s.advertised(); err != nil {
		return r, err
	}
	if s.cfg.TLSCert == "" {
		return r, nil
	}
	certificate, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
	if err != nil {
		return r, fmt.Errorf("loading the TLS certificate (--tls-cert, --tls-key): %w", err)
	}
	r.CertHash = sha256.Sum256(certificate.Certificate[0])
	return r, nil
}

// replicaName gives the name that this state folder's replica has, and makes one at the first start.
func replicaName(folder string) (string, error) {
	path := filepath.Join(folder, nameFile)
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("the replica's name: %w", err)
	}
	name := "replica_" + strings.ToLower(rand.Text())
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("the replica's name: %w", err)
	}
	return name, nil
}

// advertised is where other replicas reach this one's gRPC: as configured, or where it listens; one
// that listens on all addresses is called by the machine's name.
func (s *Service) advertised() (string, error) {
	if s.cfg.Advertise != "" {
		return s.cfg.Advertise, nil
	}
	host, port, err := net.SplitHostPort(s.grpc.String())
	if err != nil {
		return "", fmt.Errorf("the address for other replicas (--advertise): %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return s.grpc.String(), nil
	}
	if host, err = os.Hostname(); err != nil {
		return "", fmt.Errorf("the address for other replicas: give --advertise: %w", err)
	}
	return net.JoinHostPort(host, port), nil
}

// Again gives the configuration with which this service begins anew, on the same ports.
func (s *Service) Again() Config {
	c := s.cfg
	for to, at := range map[*string]net.Addr{&c.RESTListen: s.rest, &c.GRPCListen: s.grpc, &c.MetricsListen: s.metrics} {
		if at != nil {
			*to = at.String()
		}
	}
	return c
}
