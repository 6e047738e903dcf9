package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/metadata"

	minerv1 "github.com/aitbc/aitbc/gen/go/aitbc/miner/v1"
	"github.com/aitbc/aitbc/services/internal/gateway"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type everybody struct{}

func (everybody) Authorize(ctx context.Context, _ string) (context.Context, error) { return ctx, nil }

// miner answers with what it got.
type miner struct {
	minerv1.UnimplementedMinerServiceServer
	metadata chan metadata.MD
	block    bool
}

func (m miner) GetStatus(ctx context.Context, _ *minerv1.GetStatusRequest) (*minerv1.GetStatusResponse, error) {
	if m.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	md, _ := metadata.FromIncomingContext(ctx)
	m.metadata <- md
	return &minerv1.GetStatusResponse{Status: &minerv1.MinerStatus{Session: "connected"}}, nil
}

func (m miner) AssignJob(_ context.Context, r *minerv1.AssignJobRequest) (*minerv1.AssignJobResponse, error) {
	return &minerv1.AssignJobResponse{JobId: r.GetJobId(), Status: "running"}, nil
}

type fixture struct {
	gateway  *gateway.Gateway
	url      string
	log      *bytes.Buffer
	registry *prometheus.Registry
	metadata chan metadata.MD
}

func serve(t *testing.T, block, running bool) *fixture {
	t.Helper()
	f := &fixture{log: &bytes.Buffer{}, registry: prometheus.NewRegistry(), metadata: make(chan metadata.MD, 1)}
	metrics, err := obs.NewRPC(f.registry)
	require.NoError(t, err)
	server, err := rpc.NewServer(nil, rpc.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: everybody{}})
	require.NoError(t, err)
	minerv1.RegisterMinerServiceServer(server, miner{metadata: f.metadata, block: block})
	conn, err := server.Conn()
	require.NoError(t, err)
	options := gateway.Options{Logger: slog.New(slog.NewTextHandler(f.log, nil)), Metrics: metrics, MaxBodyBytes: 200}
	if block {
		options.Timeout = time.Millisecond
	}
	f.gateway, err = gateway.New(t.Context(), options, conn, gateway.Service{
		Descriptor: minerv1.File_aitbc_miner_v1_miner_service_proto.Services().ByName("MinerService"),
		Register:   gateway.Over(minerv1.RegisterMinerServiceHandlerClient, minerv1.NewMinerServiceClient),
	})
	require.NoError(t, err)
	web := httptest.NewServer(f.gateway)
	f.url = web.URL
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	if running {
		go func() { ended <- server.Run(ctx) }()
	} else {
		cancel()
		require.NoError(t, server.Run(ctx))
		ended <- nil
	}
	t.Cleanup(func() {
		web.Close()
		require.NoError(t, conn.Close())
		cancel()
		require.NoError(t, <-ended)
	})
	return f
}

func (f *fixture) do(t *testing.T, verb, path, body string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), verb, f.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode, string(content)
}

func TestAnswersHaveAllFieldsUnderTheContractsNames(t *testing.T) {
	t.Parallel()
	status, body := serve(t, false, true).do(t, "GET", "/v1/status", "")
	require.Equal(t, 200, status)
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &fields))
	require.Equal(t, "connected", fields["session"])
	require.Contains(t, fields, "unaccepted_results")
	require.NotContains(t, body, ": ", "no spaces, which protojson puts in at random")
}

func TestOnlyMeaningfulHeadersArePassedOn(t *testing.T) {
	t.Parallel()
	f := serve(t, false, true)
	status, _ := f.do(t, "GET", "/v1/status", "",
		"X-Api-Key", "a", "X-Miner-Key", "b", "Idempotency-Key", "c",
		"Grpc-Metadata-Role", "admin", "X-Request-Id", "forged", "Cookie", "d", "Grpc-Timeout", "nonsense")
	require.Equal(t, 200, status)
	got := <-f.metadata
	for key, want := range map[string]string{"x-api-key": "a", "x-miner-key": "b", "idempotency-key": "c"} {
		require.Equal(t, []string{want}, got.Get(key))
	}
	for _, key := range []string{"role", "grpc-metadata-role", "x-request-id", "cookie", "grpcgateway-cookie"} {
		require.Empty(t, got.Get(key), key)
	}
}

func TestTheMethodOverrideHeaderIsIgnored(t *testing.T) {
	t.Parallel()
	f := serve(t, false, true)
	status, _ := f.do(t, "POST", "/v1/status", "a=b", "Content-Type", "application/x-www-form-urlencoded", "X-HTTP-Method-Override", "GET")
	require.Equal(t, 405, status)
}

func TestFormContentTypeIsJSONToo(t *testing.T) {
	t.Parallel()
	// What curl -d sends without more words.
	status, body := serve(t, false, true).do(t, "POST", "/v1/jobs/assign",
		`{"job_id":"job_1","job_data":{"type":"inference","prompt":"p","model":"m"},"reward":"1aitbc"}`,
		"Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, 200, status)
	require.Equal(t, `{"job_id":"job_1","lease_id":"","status":"running"}`+"\n", body)
}

func TestNullMeansNotGiven(t *testing.T) {
	t.Parallel()
	status, body := serve(t, false, true).do(t, "POST", "/v1/jobs/assign", `{"job_id":null,"job_data":null}`)
	require.Equal(t, 400, status)
	require.Contains(t, body, "job_data: is required")
}

func TestRefusalsAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	f := serve(t, false, true)
	for path, body := range map[string]string{"/v1/jobs/assign": `{"prompt":"x"}`, "/v1/nothing": ""} {
		status, _ := f.do(t, "POST", path, body)
		require.GreaterOrEqual(t, status, 400)
	}
	status, _ := f.do(t, "POST", "/v1/jobs/assign", strings.Repeat(" ", 201))
	require.Equal(t, 413, status)
	require.Contains(t, f.log.String(), `msg="call refused at the gateway" method=/aitbc.miner.v1.MinerService/AssignJob http="POST /v1/jobs/assign" code=InvalidArgument reason=INVALID_FIELD`)
	require.Contains(t, f.log.String(), "reason=ROUTE_NOT_FOUND")
	require.NoError(t, testutil.GatherAndCompare(f.registry, strings.NewReader(`
# HELP aitbc_rpc_calls_total Finished calls by method, gRPC code and error reason (empty: none).
# TYPE aitbc_rpc_calls_total counter
aitbc_rpc_calls_total{code="InvalidArgument",method="/aitbc.miner.v1.MinerService/AssignJob",reason="INVALID_FIELD"} 1
aitbc_rpc_calls_total{code="ResourceExhausted",method="/aitbc.miner.v1.MinerService/AssignJob",reason="BODY_TOO_LARGE"} 1
aitbc_rpc_calls_total{code="Unimplemented",method="unrouted",reason="ROUTE_NOT_FOUND"} 1
`), "aitbc_rpc_calls_total"))
}

func TestAServerThatStopsIsOverloadedForNow(t *testing.T) {
	t.Parallel()
	status, body := serve(t, false, false).do(t, "GET", "/v1/status", "")
	require.Equal(t, 503, status)
	require.Contains(t, body, "OVERLOADED")
}

func TestACallOverItsTimeIsAbandoned(t *testing.T) {
	t.Parallel()
	status, body := serve(t, true, true).do(t, "GET", "/v1/status", "")
	require.Equal(t, 499, status, body)
	require.Contains(t, body, "CALL_ABANDONED")
}

func TestRoutesComeFromTheContract(t *testing.T) {
	t.Parallel()
	require.Equal(t, []gateway.Route{
		{Verb: "POST", Pattern: "/v1/drain", Method: "/aitbc.miner.v1.MinerService/DrainMiner"},
		{Verb: "GET", Pattern: "/v1/earnings", Method: "/aitbc.miner.v1.MinerService/GetEarnings"},
		{Verb: "POST", Pattern: "/v1/jobs/assign", Method: "/aitbc.miner.v1.MinerService/AssignJob"},
		{Verb: "GET", Pattern: "/v1/status", Method: "/aitbc.miner.v1.MinerService/GetStatus"},
	}, serve(t, false, true).gateway.Routes())
}
