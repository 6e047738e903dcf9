package coordinator

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	rpcclient "github.com/cometbft/cometbft/rpc/client"
	"github.com/prometheus/client_golang/prometheus"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

// Deps are what a Service needs from outside. Logger and Registry are required.
type Deps struct {
	// Logger gets a line for every call and every step of a job.
	Logger *slog.Logger
	// Registry gets the coordinator's metrics and is served at MetricsListen.
	Registry *prometheus.Registry
	// Ledger is a ledger node in this process; nil: Config.LedgerURLs are called.
	Ledger rpcclient.Client
	// Keys are API keys that must exist, for development networks.
	Keys []FixedKey
	// Faucet is the key of an account whose tokens whoever asks gets, for development networks; nil:
	// there is no faucet.
	Faucet ed25519.PrivateKey
}

// FixedKey is an API key that everybody knows.
type FixedKey struct {
	// Key is the key itself, Name what it is called in lists.
	Key, Name string
	// Scope is client, miner or admin.
	Scope string
	// Account is whose it is.
	Account aitbc.AccountID
	// Priority is the highest that its jobs may have.
	Priority aitbc.Priority
}

// Service is a coordinator.
type Service struct {
	cfg      Config
	deps     Deps
	operator ed25519.PrivateKey
	ready    chan struct{}

	// Set before ready is closed.
	rest, grpc, metrics net.Addr
	dispatcher          *dispatch.Dispatcher
}

// New checks the configuration and reads the operator's key.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Logger == nil || deps.Registry == nil {
		return nil, errors.New("a coordinator needs a logger and a registry")
	}
	operator, err := cfg.loadOperator()
	if err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, deps: deps, operator: operator, ready: make(chan struct{})}, nil
}

// Ready is closed when both faces take calls. The addresses may be asked only then.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// RESTAddr is where the REST gateway listens.
func (s *Service) RESTAddr() net.Addr { return s.rest }

// GRPCAddr is where gRPC listens.
func (s *Service) GRPCAddr() net.Addr { return s.grpc }

// MetricsAddr is where /metrics is; nil when it is not served.
func (s *Service) MetricsAddr() net.Addr { return s.metrics }

// Operator gives the operator's account.
func (s *Service) Operator() aitbc.AccountID { return aitbc.AccountOf(s.publicKey()) }

func (s *Service) publicKey() ed25519.PublicKey { return s.operator.Public().(ed25519.PublicKey) }

// ports are the listeners; metrics may be nil.
type ports struct{ rest, grpc, metrics net.Listener }

func (p ports) close() error {
	var errs []error
	for _, listener := range []net.Listener{p.rest, p.grpc, p.metrics} {
		if listener == nil {
			continue
		}
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// listen opens all ports before anything else, so that a taken one is named at once.
func (s *Service) listen(ctx context.Context) (p ports, err error) {
	if p.rest, err = rpc.Listen(ctx, s.cfg.RESTListen, FlagRESTListen); err != nil {
		return p, err
	}
	if p.grpc, err = rpc.Listen(ctx, s.cfg.GRPCListen, FlagGRPCListen); err != nil {
		return p, err
	}
	s.rest, s.grpc = p.rest.Addr(), p.grpc.Addr()
	if s.cfg.MetricsListen == "" {
		return p, nil
	}
	if p.metrics, err = rpc.Listen(ctx, s.cfg.MetricsListen, FlagMetricsListen); err != nil {
		return p, err
	}
	s.metrics = p.metrics.Addr()
	return p, nil
}

// putFixedKeys makes sure that the keys of a development network exist.
func (s *Service) putFixedKeys(ctx context.Context, keys store.Keys) error {
	for _, k := range s.deps.Keys {
		_, err := keys.KeyByHash(ctx, auth.HashKey(k.Key))
		if err == nil {
			continue // perhaps revoked, and then it stays so
		}
		if !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("look for key %s: %w", k.Name, err)
		}
		err = keys.PutKey(ctx, store.Key{
			Hash: auth.HashKey(k.Key), ID: "key_" + k.Name, Name: k.Name, Scope: store.Scope(k.Scope), Account: k.Account,
			CreatedAt: time.Now().UTC().Truncate(time.Microsecond), Line: "key_" + k.Name, Priority: k.Priority,
		})
		if err != nil {
			return fmt.Errorf("put key %s: %w", k.Name, err)
		}
	}
	return nil
}

// logFlush notes transactions of the store that failed; a human should look at the disk.
func logFlush(log *slog.Logger, f *flushes) func(store.Flush) {
	return func(flush store.Flush) {
		f.observe(flush)
		if flush.Err != nil {
			log.Error("a transaction of the store failed", obs.KeyError, flush.Err)
		}
	}
}

// minerPoll is how often AwaitMiner looks.
const minerPoll = 10 * time.Millisecond

// AwaitMiner waits until a miner has connected and said what it can do. It may be called once
// Ready is closed. Errors: ctx's.
func (s *Service) AwaitMiner(ctx context.Context, id aitbc.AccountID) error {
	tick := time.NewTicker(minerPoll)
	defer tick.Stop()
	for {
		for _, m := range s.dispatcher.Miners() {
			if m.ID == id && len(m.State.Models) > 0 {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("await miner %s: %w", id, ctx.Err())
		}
	}
}
