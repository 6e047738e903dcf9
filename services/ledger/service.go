package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/rpc/client"
	"github.com/prometheus/client_golang/prometheus"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/internal/run"
	"github.com/aitbc/aitbc/services/ledger/internal/api"
	"github.com/aitbc/aitbc/services/ledger/internal/app"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
	"github.com/aitbc/aitbc/services/ledger/internal/node"
	"github.com/aitbc/aitbc/services/ledger/internal/query"
)

// Deps are what a Service needs from outside. Both are required.
type Deps struct {
	// Logger gets a line for every transaction and for every gRPC call.
	Logger *slog.Logger
	// Registry gets the ledger's metrics and is served at MetricsListen. Services that share one
	// wrap Registerer with a label each.
	Registry *prometheus.Registry
	// Registerer is where metrics are registered; nil: Registry.
	Registerer prometheus.Registerer
}

// Service is a ledger node.
type Service struct {
	cfg     Config
	deps    Deps
	genesis Genesis
	ready   chan struct{}

	// Set before ready is closed.
	client  client.Client
	rpc     net.Addr
	grpc    net.Addr
	metrics net.Addr
}

// New checks the configuration and makes what the home folder lacks: keys and genesis.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Logger == nil || deps.Registry == nil {
		return nil, errors.New("a ledger needs a logger and a registry")
	}
	if deps.Registerer == nil {
		deps.Registerer = deps.Registry
	}
	s := &Service{cfg: cfg, deps: deps, ready: make(chan struct{})}
	if err := node.Prepare(s.nodeConfig()); err != nil {
		return nil, fmt.Errorf("prepare the ledger: %w", err)
	}
	var err error
	if s.genesis, err = LoadGenesis(cfg.Home); err != nil {
		return nil, err
	}
	return s, nil
}

// Genesis gives the chain's genesis.
func (s *Service) Genesis() Genesis { return s.genesis }

// Ready is closed when the node takes calls. What follows may be called only then.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Client gives a client that calls the node in this process, without a socket.
func (s *Service) Client() client.Client { return s.client }

// RPCAddr is where JSON-RPC listens.
func (s *Service) RPCAddr() net.Addr { return s.rpc }

// GRPCAddr is where LedgerService listens.
func (s *Service) GRPCAddr() net.Addr { return s.grpc }

// MetricsAddr is where /metrics is; nil when it is not served.
func (s *Service) MetricsAddr() net.Addr { return s.metrics }

// Run runs the node until ctx ends or the chain halts. It may be called once.
func (s *Service) Run(ctx context.Context) (err error) {
	o := &opened{}
	defer func() { err = errors.Join(err, o.close()) }()
	ports, err := s.listen(ctx, o)
	if err != nil {
		return err
	}
	application, past, err := s.open(o)
	if err != nil {
		return err
	}
	n, err := node.Start(ctx, s.nodeConfig(), application, ports.rpc, s.deps.Logger)
	if err != nil {
		return err
	}
	group := &run.Group{}
	group.Add("node", n)
	if err := s.serve(group, ports, n, application, past); err != nil {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		return errors.Join(err, n.Run(stopped))
	}
	s.client = n.Client()
	close(s.ready)
	s.deps.Logger.InfoContext(ctx, "ledger is up", "chain_id", s.genesis.ChainID, "rpc", s.rpc.String(), "grpc", s.grpc.String())
	return group.Run(ctx)
}

func (s *Service) nodeConfig() node.Config {
	return node.Config{
		Home: s.cfg.Home, P2PListen: s.cfg.P2PListen, P2PFlag: s.cfg.FlagPrefix + FlagP2PListen,
		Heartbeat: s.cfg.Heartbeat, Genesis: s.cfg.Genesis, Peers: s.cfg.Peers,
		Join: node.Join{RPCServers: s.cfg.JoinRPC, TrustHeight: s.cfg.JoinHeight, TrustHash: s.cfg.JoinHash},
	}
}

// ports are the listeners; metrics may be nil.
type ports struct{ rpc, grpc, metrics net.Listener }

// listen opens all ports before anything else, so that a taken one is named at once.
func (s *Service) listen(ctx context.Context, o *opened) (ports, error) {
	var (
		p    ports
		errs []error
	)
	open := func(addr, flag string) net.Listener {
		listener, err := rpc.Listen(ctx, addr, flag)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		o.add(func() error { return ignoreClosed(listener.Close()) })
		return listener
	}
	p.rpc = open(s.cfg.RPCListen, s.cfg.FlagPrefix+FlagRPCListen)
	p.grpc = open(s.cfg.GRPCListen, s.cfg.FlagPrefix+FlagGRPCListen)
	if s.cfg.MetricsListen != "" {
		p.metrics = open(s.cfg.MetricsListen, s.cfg.FlagPrefix+FlagMetricsListen)
	}
	if len(errs) > 0 {
		return ports{}, errors.Join(errs...)
	}
	s.rpc, s.grpc = p.rpc.Addr(), p.grpc.Addr()
	if p.metrics != nil {
		s.metrics = p.metrics.Addr()
	}
	return p, nil
}

// open opens the databases and takes the state up.
func (s *Service) open(o *opened) (*app.App, *history.DB, error) {
	data := filepath.Join(s.cfg.Home, "data")
	states, err := dbm.NewGoLevelDB("ledger_state", data)
	if err != nil {
		return nil, nil, fmt.Errorf("open the ledger's state: %w", err)
	}
	o.add(states.Close)
	records, err := history.OpenDatabase("ledger_history", data)
	if err != nil {
		return nil, nil, err
	}
	o.add(records.Close)
	metrics, err := app.NewMetrics(s.deps.Registerer, time.Now)
	if err != nil {
		return nil, nil, fmt.Errorf("register the ledger's metrics: %w", err)
	}
	past := history.New(records)
	application, err := app.New(app.Deps{
		Store: app.NewStore(states), History: past, Logger: s.deps.Logger, Metrics: metrics,
		SnapshotEvery: s.cfg.SnapshotEvery, RetainBlocks: s.cfg.RetainBlocks,
	})
	if err != nil {
		return nil, nil, err
	}
	return application, past, nil
}

// serve adds the servers to the group.
func (s *Service) serve(group *run.Group, p ports, n *node.Node, application *app.App, past *history.DB) error {
	calls, err := obs.NewRPC(s.deps.Registerer)
	if err != nil {
		return fmt.Errorf("register the metrics of gRPC: %w", err)
	}
	server, err := rpc.NewServer(p.grpc, rpc.Options{Logger: s.deps.Logger, Metrics: calls, Authorizer: api.Public{}})
	if err != nil {
		return fmt.Errorf("make the gRPC server: %w", err)
	}
	ledgerv1.RegisterLedgerServiceServer(server, api.New(query.New(application, past), n.Client()))
	group.Add("JSON-RPC", n.RPC())
	group.Add("gRPC", server)
	if p.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("/", obs.MetricsHandler(s.deps.Registry))
		mux.Handle("GET /healthz", health{app: application, heartbeat: s.cfg.Heartbeat, now: time.Now})
		group.Add("metrics", run.NewHTTP(p.metrics, mux))
	}
	return nil
}

// opened is what has to be closed, the last one first.
type opened struct{ closers []func() error }

func (o *opened) add(closer func() error) { o.closers = append(o.closers, closer) }

func (o *opened) close() error {
	var errs []error
	for i := len(o.closers) - 1; i >= 0; i-- {
		errs = append(errs, o.closers[i]())
	}
	return errors.Join(errs...)
}

// ignoreClosed drops the error of closing a listener that its server has closed.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
