package coordinator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/gateway"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/replica"
	"github.com/aitbc/aitbc/services/coordinator/internal/session"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	edge "github.com/aitbc/aitbc/services/internal/gateway"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/internal/run"
)

// chainTimeout is how long the ledger may take to answer for the first time.
const chainTimeout = time.Minute

// parts are what a running coordinator is made of.
type parts struct {
	store      store.Store
	committer  *store.Committer
	ledger     *ledger.Client // nil: there is none
	member     *replica.Member
	dispatcher *dispatch.Dispatcher
	accuser    *accuser // nil: there is no ledger
	server     *rpc.Server
	sessions   *session.Service
	leaving    chan struct{}  // closed when those who watch jobs must go
	senders    sync.WaitGroup // of watchers
	conn       *rpc.LocalConn // the gateway's, in process
	rest       *run.HTTP
	metrics    *run.HTTP // nil: not served
}

// Run runs the coordinator until ctx ends or a part fails. It waits for the ledger first. It may be
// called once.
func (s *Service) Run(ctx context.Context) (err error) {
	listeners, err := s.listen(ctx)
	defer func() { err = errors.Join(err, listeners.close()) }()
	if err != nil {
		return err
	}
	p := &parts{leaving: make(chan struct{})}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.store, err = s.cfg.openStore(ctx); err != nil {
		return err
	}
	if err := s.putFixedKeys(ctx, p.store); err != nil {
		return err
	}
	if s.cfg.Ledger == LedgerNone {
		return s.runWith(ctx, p, listeners, s.inFleet(p))
	}
	if p.ledger, err = s.ledgerClient(); err != nil {
		return err
	}
	group := &run.Group{}
	group.Add("ledger client", p.ledger)
	group.Add("the rest", run.Func(func(ctx context.Context) error {
		onChain, err := s.onChain(ctx, p)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop, and so the ledger was not met
		}
		if err != nil {
			return err
		}
		return s.runWith(ctx, p, listeners, onChain)
	}))
	return group.Run(ctx)
}

// runWith runs what needs to know where jobs are paid.
func (s *Service) runWith(ctx context.Context, p *parts, listeners ports, b books) error {
	if err := s.build(ctx, p, listeners, b); err != nil {
		return err
	}
	group := &run.Group{}
	group.Add("committer", p.committer)
	group.Add("replica", p.member) // which has the settlement run where it is this replica's
	group.Add("dispatcher", p.dispatcher)
	group.Add("retention", s.retention(p))
	if p.accuser != nil {
		group.Add("accuser", p.accuser)
	}
	group.Add("gRPC", p.server)
	group.Add("REST", p.rest)
	if p.metrics != nil {
		group.Add("metrics", p.metrics)
	}
	// Last, so that it is stopped first: REST and gRPC would wait for their watchers in vain.
	group.Add("watchers", run.Func(func(ctx context.Context) error {
		<-ctx.Done()
		close(p.leaving)
		return nil
	}))
	s.dispatcher = p.dispatcher
	close(s.ready)
	s.deps.Logger.InfoContext(ctx, "coordinator is up", "rest", s.rest.String(), "grpc", s.grpc.String(),
		"chain_id", b.chainID, "operator_id", s.Operator().String())
	return group.Run(ctx)
}

func (s *Service) ledgerClient() (*ledger.Client, error) {
	c := ledger.DefaultConfig()
	c.ChainID = s.cfg.ChainID
	if s.deps.Ledger != nil {
		return ledger.New(c, ledger.InProcess(s.deps.Ledger, "coordinator"), s.deps.Logger)
	}
	endpoint, err := ledger.DialSeveral(s.cfg.LedgerURLs)
	if err != nil {
		return nil, err
	}
	return ledger.New(c, endpoint, s.deps.Logger)
}

// build makes the parts, from the store outwards.
func (s *Service) build(ctx context.Context, p *parts, listeners ports, b books) error {
	flushes, err := newFlushes(s.deps.Registry)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	commits := store.DefaultCommitterConfig()
	commits.Flushed = logFlush(s.deps.Logger, flushes)
	if p.committer, err = store.NewCommitter(p.store, commits); err != nil {
		return err
	}
	if p.member, err = s.join(ctx, p.store, b.chainID); err != nil {
		return err
	}
	deps := dispatch.Deps{
		Store: p.store, Committer: p.committer, Ledger: b.accounts, Outbox: p.member, Operator: s.operator, Log: s.deps.Logger,
		Shards: p.member.Shards(), Takes: s.cfg.isPostgres(),
	}
	if p.ledger != nil {
		p.accuser = newAccuser(p.ledger, ledger.Signer{Account: s.Operator(), Key: s.operator}, s.deps.Logger)
		deps.Accuse = p.accuser.accuse
	}
	if p.dispatcher, err = dispatch.New(ctx, s.cfg.dispatch(b.chainID), deps); err != nil {
		return err
	}
	if p.accuser != nil {
		p.accuser.expel = p.dispatcher.Expel
	}
	settles, err := b.settle(p, p.member)
	if err != nil {
		return err
	}
	p.member.Attach(p.dispatcher, settles)
	if err := errors.Join(s.deps.Registry.Register(newJobCounter(p.store)), s.deps.Registry.Register(newWatcherGauge(p.dispatcher))); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return s.buildFaces(ctx, p, listeners, b)
}

// buildFaces makes gRPC, and REST in front of it.
func (s *Service) buildFaces(ctx context.Context, p *parts, listeners ports, b books) error {
	calls, err := obs.NewRPC(s.deps.Registry)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	options, err := s.rpcOptions(p, calls)
	if err != nil {
		return err
	}
	if p.server, err = rpc.NewServer(listeners.grpc, options); err != nil {
		return err
	}
	if err := s.register(p, b, options.Authorizer.(*auth.Authorizer)); err != nil {
		return err
	}
	if p.conn, err = p.server.Conn(); err != nil {
		return err
	}
	var more []edge.Service
	if s.hasFaucet(p) {
		more = append(more, gateway.Faucet())
	}
	handler, err := gateway.New(ctx, edge.Options{Logger: s.deps.Logger, Metrics: calls, Authorizer: options.Authorizer}, p.conn, more...)
	if err != nil {
		return err
	}
	rest := listeners.rest
	if options.TLS != nil {
		rest = tls.NewListener(rest, options.TLS)
	}
	p.rest = run.NewHTTP(rest, handler)
	if listeners.metrics != nil {
		p.metrics = obs.NewMetricsServer(listeners.metrics, s.deps.Registry)
	}
	return nil
}

func (s *Service) rpcOptions(p *parts, calls *obs.RPC) (rpc.Options, error) {
	authorizer, err := auth.New(auth.DefaultConfig(), p.store)
	if err != nil {
		return rpc.Options{}, err
	}
	authorizer.Trust(p.member)
	limiter, err := auth.NewLimiter(s.cfg.limit())
	if err != nil {
		return rpc.Options{}, err
	}
	security, err := s.cfg.security().ServerTLS(s.cfg.GRPCListen)
	if err != nil {
		return rpc.Options{}, err
	}
	return rpc.Options{Logger: s.deps.Logger, Metrics: calls, Authorizer: authorizer, Limiter: limiter, Shed: shed(p.dispatcher), TLS: security, Unary: p.member.Unary, Stream: p.member.Stream}, nil
}

// shed refuses submissions that there is no room for.
func shed(d *dispatch.Dispatcher) func(method string) error {
	return func(method string) error {
		if method != coordinatorv1.JobService_SubmitJob_FullMethodName {
			return nil
		}
		return d.Shed()
	}
}

func (s *Service) hasFaucet(p *parts) bool { return s.deps.Faucet != nil && p.ledger != nil }

func (s *Service) register(p *parts, b books, authorizer *auth.Authorizer) error {
	deps := api.Deps{
		Jobs: p.dispatcher, Leases: p.dispatcher, Keys: s.keyring(p, authorizer), Network: replica.Network{Network: p.dispatcher, Member: p.member}, Reader: p.store, Ledger: b.accounts, Statements: b.statements,
		Watches: p.dispatcher, Senders: &p.senders, Stopping: p.leaving,
		ChainID: b.chainID, Operator: s.publicKey(),
	}
	if s.hasFaucet(p) {
		deps.Faucet = newFaucet(p.ledger, s.deps.Faucet)
	}
	err := api.Register(p.server, deps)
	if err != nil {
		return err
	}
	p.sessions, err = session.New(session.DefaultConfig(), session.Deps{
		Dispatcher: p.dispatcher, Ledger: b.accounts, ChainID: b.chainID, OperatorKey: s.publicKey(),
		Stopping: p.server.Stopping(), Log: s.deps.Logger,
	})
	if err != nil {
		return err
	}
	coordinatorv1.RegisterSessionServiceServer(p.server, p.sessions)
	p.member.Register(p.server)
	return nil
}

// close closes what has been opened; the parts have stopped.
func (p *parts) close() error {
	var errs []error
	if p.sessions != nil {
		p.sessions.Wait()
	}
	p.senders.Wait()
	if p.conn != nil {
		errs = append(errs, p.conn.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	return errors.Join(errs...)
}
