// Package gateway is the coordinator's REST port: the contract's routes over the in-process
// connection, OpenAI's API (package openai), what there is to read (package site), and /healthz.
//
// What is strict about the routes is in services/internal/gateway. The order of the services below
// is immaterial as long as no route hides another, which a test proves.
//
// Start reading at New.
package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/openai"
	"github.com/aitbc/aitbc/services/coordinator/internal/site"
	"github.com/aitbc/aitbc/services/internal/gateway"
)

// healthTimeout bounds the question behind /healthz.
const healthTimeout = 2 * time.Second

// Handler serves the coordinator's REST port.
type Handler struct {
	routes *gateway.Gateway
	openai *openai.Handler
	site   *site.Site
	health healthv1.HealthClient
}

var _ http.Handler = (*Handler)(nil)

// Routes lists the contract's routes, for tests and documents.
func (h *Handler) Routes() []gateway.Route { return h.routes.Routes() }

// Faucet is the service of development networks, for New.
func Faucet() gateway.Service {
	return gateway.Service{
		Descriptor: coordinatorv1.File_aitbc_coordinator_v1_faucet_service_proto.Services().ByName("FaucetService"),
		Register:   gateway.Over(coordinatorv1.RegisterFaucetServiceHandlerClient, coordinatorv1.NewFaucetServiceClient),
	}
}

// New serves the coordinator's contracts, and more, over its in-process connection, which stays the
// caller's to close.
func New(ctx context.Context, o gateway.Options, conn grpc.ClientConnInterface, more ...gateway.Service) (*Handler, error) {
	o.Events = append(o.Events, jobEvents(coordinatorv1.NewJobServiceClient(conn)))
	routes, err := gateway.New(ctx, o, conn, append(services(), more...)...)
	if err != nil {
		return nil, err
	}
	pages, err := site.New()
	if err != nil {
		return nil, err
	}
	return &Handler{
		routes: routes, site: pages, health: healthv1.NewHealthClient(conn),
		openai: openai.New(openai.Options{Logger: o.Logger, Metrics: o.Metrics, Authorizer: o.Authorizer}, conn),
	}, nil
}

func services() []gateway.Service {
	return []gateway.Service{
		{
			Descriptor: coordinatorv1.File_aitbc_coordinator_v1_job_service_proto.Services().ByName("JobService"),
			Register:   gateway.Over(coordinatorv1.RegisterJobServiceHandlerClient, coordinatorv1.NewJobServiceClient),
		},
		{
			Descriptor: coordinatorv1.File_aitbc_coordinator_v1_lease_service_proto.Services().ByName("LeaseService"),
			Register:   gateway.Over(coordinatorv1.RegisterLeaseServiceHandlerClient, coordinatorv1.NewLeaseServiceClient),
		},
		{
			Descriptor: coordinatorv1.File_aitbc_coordinator_v1_receipt_service_proto.Services().ByName("ReceiptService"),
			Register:   gateway.Over(coordinatorv1.RegisterReceiptServiceHandlerClient, coordinatorv1.NewReceiptServiceClient),
		},
		{
			Descriptor: coordinatorv1.File_aitbc_coordinator_v1_network_service_proto.Services().ByName("NetworkService"),
			Register:   gateway.Over(coordinatorv1.RegisterNetworkServiceHandlerClient, coordinatorv1.NewNetworkServiceClient),
		},
		{
			Descriptor: coordinatorv1.File_aitbc_coordinator_v1_key_service_proto.Services().ByName("KeyService"),
			Register:   gateway.Over(coordinatorv1.RegisterKeyServiceHandlerClient, coordinatorv1.NewKeyServiceClient),
		},
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	bearer := takeBearer(r)
	switch {
	case openai.Serves(r, bearer):
		h.openai.ServeHTTP(w, r)
	case r.URL.Path == "/healthz" && reads:
		h.serveHealth(w, r)
	case h.site.Serves(r.URL.Path) && reads:
		h.site.ServeHTTP(w, r)
	default:
		h.routes.ServeHTTP(w, r)
	}
}

// serveHealth answers 200 while the server takes calls, else 503.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	answer, err := h.health.Check(ctx, &healthv1.HealthCheckRequest{})
	w.Header().Set("Content-Type", "application/json")
	if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"not serving"}` + "\n"))
		return
	}
	_, _ = w.Write([]byte(`{"status":"serving"}` + "\n"))
}

// takeBearer takes the API key from where OpenAI's clients put it, if it is there.
func takeBearer(r *http.Request) bool {
	scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	if key = strings.TrimSpace(key); !slices.Contains(r.Header.Values("X-Api-Key"), key) {
		r.Header.Add("X-Api-Key", key)
	}
	return true
}
