package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aitbc/aitbc/clients/go"
	minerv1 "github.com/aitbc/aitbc/gen/go/aitbc/miner/v1"
	"github.com/aitbc/aitbc/services/internal/gateway"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/internal/run"
)

// Config is what the port needs to know.
type Config struct {
	// Miner is the miner's account.
	Miner aitbc.AccountID
	// EngineURL is shown in the status.
	EngineURL string
	// OwnerKeyHashes are the hashes of the owner's keys, by [HashKey]; none: nobody may assign.
	OwnerKeyHashes []string
	// ClaimTimeout is how long an assignment waits for the coordinator; positive.
	ClaimTimeout time.Duration
}

// Deps are what it shows and uses.
type Deps struct {
	// Work is what runs.
	Work Work
	// Pulls are the models that are being fetched.
	Pulls Pulls
	// Sessions is the way to the coordinator.
	Sessions Sessions
	// Registry is served as /metrics.
	Registry prometheus.Gatherer
	// Registerer gets the metrics of the calls.
	Registerer prometheus.Registerer
	// Log gets a line for each call.
	Log *slog.Logger
}

// API is the port.
type API struct {
	split  *split
	server *rpc.Server
	conn   *rpc.LocalConn
	http   *run.HTTP
	drain  *drain
}

// New makes the port on the listener, which it owns from then on, also when it fails.
func New(ctx context.Context, listener net.Listener, config Config, deps Deps) (*API, error) {
	a, err := newAPI(ctx, listener, config, deps)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the miner's port: %w", err), listener.Close())
	}
	return a, nil
}

func newAPI(ctx context.Context, listener net.Listener, config Config, deps Deps) (*API, error) {
	authorizer, err := newOwner(config.OwnerKeyHashes)
	if err != nil {
		return nil, err
	}
	metrics, err := obs.NewRPC(deps.Registerer)
	if err != nil {
		return nil, err
	}
	a := &API{split: newSplit(listener), drain: &drain{asked: make(chan struct{})}}
	a.server, err = rpc.NewServer(a.split.grpc, rpc.Options{Logger: deps.Log, Metrics: metrics, Authorizer: authorizer})
	if err != nil {
		return nil, err
	}
	minerv1.RegisterMinerServiceServer(a.server, &service{config: config, work: deps.Work, pulls: deps.Pulls, sessions: deps.Sessions, drain: a.drain})
	if a.conn, err = a.server.Conn(); err != nil {
		return nil, err
	}
	rest, err := gateway.New(ctx, gateway.Options{Logger: deps.Log, Metrics: metrics, Authorizer: authorizer}, a.conn, gateway.Service{
		Descriptor: minerv1.File_aitbc_miner_v1_miner_service_proto.Services().ByName("MinerService"),
		Register:   gateway.Over(minerv1.RegisterMinerServiceHandlerClient, minerv1.NewMinerServiceClient),
	})
	if err != nil {
		return nil, errors.Join(err, a.conn.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("/", rest)
	mux.Handle("/metrics", obs.MetricsHandler(deps.Registry))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	a.http = run.NewHTTP(a.split.rest, mux)
	return a, nil
}

// Addr is where it listens.
func (a *API) Addr() net.Addr { return a.split.listener.Addr() }

// Drained is closed when the owner wants the miner to leave.
func (a *API) Drained() <-chan struct{} { return a.drain.asked }

// Run serves until ctx ends.
func (a *API) Run(ctx context.Context) error {
	var group run.Group
	group.Add("gRPC", a.server)
	group.Add("REST", a.http)
	group.Add("listener", a.split)
	return errors.Join(group.Run(ctx), a.conn.Close())
}
