package miner

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/internal/run"
	"github.com/aitbc/aitbc/services/miner/internal/api"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/claim"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/pull"
	"github.com/aitbc/aitbc/services/miner/internal/session"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// Deps are what a Service needs from outside. Logger and Registry are required.
type Deps struct {
	// Logger gets a line for every attempt, every call on the owner's port and every session.
	Logger *slog.Logger
	// Registry is served as /metrics on the owner's port.
	Registry *prometheus.Registry
	// Registerer is where metrics are registered; nil: Registry. Services that share a registry
	// wrap it with a label each.
	Registerer prometheus.Registerer
	// Screen is a terminal that is shown how far a model's pull is; nil: the log is told.
	Screen io.Writer
}

// Service is a miner.
type Service struct {
	cfg   Config
	deps  Deps
	key   ed25519.PrivateKey
	ready chan struct{}
	addr  net.Addr // set before ready is closed
}

// New checks the configuration, and makes the key at the first start.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Logger == nil || deps.Registry == nil {
		return nil, errors.New("a miner needs a logger and a registry")
	}
	if deps.Registerer == nil {
		deps.Registerer = deps.Registry
	}
	key, err := aitbc.LoadOrCreateKey(cfg.keyFile())
	if err != nil {
		return nil, fmt.Errorf("get the miner's key: %w", err)
	}
	owner, err := OwnerKey(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	cfg.OwnerKeyHashes = append(slices.Clone(cfg.OwnerKeyHashes), HashKey(owner))
	return &Service{cfg: cfg, deps: deps, key: key, ready: make(chan struct{})}, nil
}

// OwnerKey gives the key of who owns the state folder, for the owner's port; it is made when it is not
// there.
func OwnerKey(stateDir string) (string, error) {
	key, err := aitbc.LoadOrCreateKey(filepath.Join(stateDir, "owner.key"))
	if err != nil {
		return "", fmt.Errorf("get the owner's key: %w", err)
	}
	return hex.EncodeToString(key.Seed()), nil
}

// Account is the miner's account on the ledger.
func (s *Service) Account() aitbc.AccountID {
	return aitbc.AccountOf(s.key.Public().(ed25519.PublicKey))
}

// Ready is closed when the owner's port answers; a session may not be there yet.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Addr is where the owner's port is. It may be called when Ready is closed.
func (s *Service) Addr() net.Addr { return s.addr }

// parts are what a running miner is made of.
type parts struct {
	engine  *executor.Ollama
	spool   *spool.Spool
	runner  *attempt.Runner
	puller  *pull.Puller
	ledger  *aitbc.Ledger  // nil: no enrolment, no claims
	claimer *claim.Claimer // with ledger
	session *session.Session
	api     *api.API
}

// Run mines until ctx ends, then drains and leaves. It may be called once.
func (s *Service) Run(ctx context.Context) (err error) {
	p, err := s.open(ctx)
	defer func() { err = errors.Join(err, p.close()) }()
	if err != nil {
		return err
	}
	// The parts outlive ctx: draining needs them.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		select {
		case <-ctx.Done():
		case <-p.api.Drained():
		case <-working.Done(): // a part failed
			return
		}
		s.drain(working, p)
		stop()
	}()
	var group run.Group
	group.Add("attempts", p.runner)
	group.Add("session", p.session)
	if p.ledger != nil {
		group.Add("enrolment", run.Func(func(ctx context.Context) error { return s.enrol(ctx, p.ledger) }))
		group.Add("claims", p.claimer)
	}
	group.Add("pulls", p.puller)
	group.Add("owner's port", p.api)
	s.addr = p.api.Addr()
	close(s.ready)
	s.deps.Logger.InfoContext(ctx, "miner is up", "miner_id", s.Account().String(), "addr", s.addr.String(),
		"engine", s.cfg.EngineURL)
	err = group.Run(working)
	stop()
	<-drained
	return err
}

// open makes the parts. On error it returns those that close must take care of.
func (s *Service) open(ctx context.Context) (p parts, err error) {
	base, err := url.Parse(s.cfg.EngineURL)
	if err != nil {
		return p, fmt.Errorf("read ollama-url: %w", err)
	}
	metrics, err := attempt.NewMetrics(s.deps.Registerer)
	if err != nil {
		return p, err
	}
	p.spool, err = spool.Open(filepath.Join(s.cfg.StateDir, "spool"), spool.Limits{Accepted: s.cfg.KeepAccepted, Evidence: s.cfg.KeepEvidence})
	if err != nil {
		return p, err
	}
	p.engine = executor.New(base)
	p.puller = pull.New(s.cfg.Pull, s.cfg.Pullable, pull.Deps{
		Engine: p.engine, Log: s.deps.Logger, Screen: s.deps.Screen,
		Fits:   func(model string, bytes int64) error { return p.runner.Fits(model, bytes) },
		Pulled: func() { p.runner.Refresh() }, Moved: func() { p.runner.PullsMoved() },
	})
	p.runner = attempt.New(attempt.Config{
		Slots: s.cfg.Slots, Measured: watchSlots(s.cfg.StateDir, s.deps.Logger),
		PriceFloor: aitbc.Amount(s.cfg.PriceFloorUaitbc), Models: s.cfg.Models, Pullable: s.cfg.Pullable,
		MemoryReserve: s.cfg.MemoryReserve, RefreshInterval: s.cfg.RefreshInterval,
	}, attempt.Deps{
		Key: s.key, Executor: p.engine, Devices: device.New(), Spool: p.spool, Pulls: p.puller, Metrics: metrics, Log: s.deps.Logger,
	})
	if s.cfg.Ledger != "" {
		if p.ledger, err = s.cfg.openLedger(); err != nil {
			return p, err
		}
		p.claimer = claim.New(claim.DefaultConfig(), p.spool, claim.NewNode(p.ledger, s.key), s.deps.Logger)
	}
	config, err := s.sessionConfig()
	if err != nil {
		return p, err
	}
	if p.session, err = session.New(config, p.runner, s.deps.Logger); err != nil {
		return p, err
	}
	if err := registerGauges(s.deps.Registerer, p); err != nil {
		return p, err
	}
	listener, err := rpc.Listen(ctx, s.cfg.Listen, s.cfg.FlagPrefix+FlagListen)
	if err != nil {
		return p, err
	}
	p.api, err = api.New(context.WithoutCancel(ctx), listener, api.Config{
		Miner: s.Account(), EngineURL: s.cfg.EngineURL, OwnerKeyHashes: s.cfg.OwnerKeyHashes, ClaimTimeout: s.cfg.ClaimTimeout,
	}, api.Deps{
		Work: p.runner, Pulls: p.puller, Sessions: p.session, Registry: s.deps.Registry, Registerer: s.deps.Registerer, Log: s.deps.Logger,
	})
	return p, err
}

// close lets go of what Run of no part does.
func (p parts) close() error {
	if p.engine != nil {
		p.engine.Close()
	}
	var errs []error
	if p.ledger != nil {
		errs = append(errs, p.ledger.Close())
	}
	if p.spool != nil {
		errs = append(errs, p.spool.Close())
	}
	return errors.Join(errs...)
}

func (s *Service) sessionConfig() (session.Config, error) {
	roots, err := s.cfg.roots()
	if err != nil {
		return session.Config{}, err
	}
	config := session.Config{
		Addresses: s.cfg.Coordinators, Key: s.key, Software: s.cfg.Software, ChainID: s.cfg.ChainID,
		TLS:      &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, // RFC 9266 asks for 1.3
		ForceTLS: s.cfg.TLS || s.cfg.TLSCA != "", Insecure: s.cfg.Insecure,
		Backoff:          session.Backoff{Min: s.cfg.BackoffMin, Max: s.cfg.BackoffMax},
		HandshakeTimeout: s.cfg.HandshakeTimeout,
	}
	for _, text := range s.cfg.Operators {
		id, err := aitbc.ParseAccountID(text)
		if err != nil {
			return session.Config{}, fmt.Errorf("read operators: %w", err)
		}
		config.Operators = append(config.Operators, id)
	}
	return config, nil
}

// roots gives the authorities to trust; nil: the system's.
func (c Config) roots() (*x509.CertPool, error) {
	if c.TLSCA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("read tls-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read tls-ca: %s holds no certificate", c.TLSCA)
	}
	return roots, nil
}
