package rpc_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door lets everybody in but to the methods in refused, and counts who came as far as the limiter.
type door struct {
	refused string
	limited string
	shed    string
	timeout time.Duration
	grace   time.Duration
}

func (d door) Authorize(ctx context.Context, method string) (context.Context, error) {
	if strings.HasSuffix(method, d.refused) && d.refused != "" {
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY, "no key")
	}
	obs.Annotate(ctx, slog.String(obs.KeyAccountID, "aitbc1test"))
	return ctx, nil
}

func (d door) Allow(_ context.Context, method string) error {
	if strings.HasSuffix(method, d.limited) && d.limited != "" {
		return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED, "too fast").WithRetryAfter(2 * time.Second)
	}
	return nil
}

func (d door) Shed(method string) error {
	if strings.HasSuffix(method, d.shed) && d.shed != "" {
		return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "full").WithRetryAfter(time.Second)
	}
	return nil
}

type jobs struct {
	coordinatorv1.UnimplementedJobServiceServer
	get func(ctx context.Context) error
}

func (j jobs) GetJob(ctx context.Context, r *coordinatorv1.GetJobRequest) (*coordinatorv1.GetJobResponse, error) {
	if err := j.get(ctx); err != nil {
		return nil, err
	}
	return &coordinatorv1.GetJobResponse{Job: &coordinatorv1.Job{JobId: r.GetJobId()}}, nil
}

func (j jobs) SubmitJob(context.Context, *coordinatorv1.SubmitJobRequest) (*coordinatorv1.SubmitJobResponse, error) {
	return &coordinatorv1.SubmitJobResponse{}, nil
}

type sessions struct {
	coordinatorv1.UnimplementedSessionServiceServer
	stopping func() <-chan struct{}
}

func (s sessions) Connect(stream coordinatorv1.SessionService_ConnectServer) error {
	frame, err := stream.Recv()
	if err != nil {
		return err
	}
	if frame.GetHello() == nil {
		panic("first frame")
	}
	if err := stream.Send(&coordinatorv1.ConnectResponse{}); err != nil {
		return err
	}
	<-s.stopping()
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "stopping")
}

// buffer is a log that handlers on other goroutines write to.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

type fixture struct {
	server   *rpc.Server
	conn     *rpc.LocalConn
	log      *buffer
	registry *prometheus.Registry
	stop     func() error
}

func start(t *testing.T, d door, get func(context.Context) error, listener net.Listener, config *tls.Config) *fixture {
	t.Helper()
	f := &fixture{log: &buffer{}, registry: prometheus.NewRegistry()}
	metrics, err := obs.NewRPC(f.registry)
	require.NoError(t, err)
	f.server, err = rpc.NewServer(listener, rpc.Options{
		Logger: slog.New(slog.NewTextHandler(f.log, nil)), Metrics: metrics,
		Authorizer: d, Limiter: d, Shed: d.Shed, TLS: config, Timeout: d.timeout, Grace: d.grace,
	})
	require.NoError(t, err)
	coordinatorv1.RegisterJobServiceServer(f.server, jobs{get: get})
	coordinatorv1.RegisterSessionServiceServer(f.server, sessions{stopping: f.server.Stopping})
	f.conn, err = f.server.Conn()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.server.Run(ctx) }()
	f.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		require.NoError(t, f.conn.Close())
		require.NoError(t, f.stop())
	})
	return f
}

func reasonOf(t *testing.T, err error) string {
	t.Helper()
	e, ok := apierr.FromStatus(status.Convert(err))
	require.True(t, ok, "no ErrorInfo of ours in %v", err)
	return apierr.Word(e.Reason)
}

func fine(context.Context) error { return nil }

func TestACallPassesAllStages(t *testing.T) {
	t.Parallel()
	f := start(t, door{}, fine, nil, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.RequestIDKey, "mine-1")
	var header metadata.MD
	_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(ctx, &coordinatorv1.GetJobRequest{JobId: "job_1"}, grpc.Header(&header))
	require.NoError(t, err)
	require.Equal(t, []string{"mine-1"}, header.Get(rpc.RequestIDKey))
	require.NoError(t, f.stop())
	require.Contains(t, f.log.String(), "msg=call method=/aitbc.coordinator.v1.JobService/GetJob code=OK")
	require.Contains(t, f.log.String(), "request_id=mine-1 account_id=aitbc1test")
	require.NoError(t, testutil.GatherAndCompare(f.registry, strings.NewReader(`
# HELP aitbc_rpc_calls_total Finished calls by method, gRPC code and error reason (empty: none).
# TYPE aitbc_rpc_calls_total counter
aitbc_rpc_calls_total{code="OK",method="/aitbc.coordinator.v1.JobService/GetJob",reason=""} 1
`), "aitbc_rpc_calls_total"))
}

func TestARequestIDThatCouldForgeALogLineIsReplaced(t *testing.T) {
	t.Parallel()
	f := start(t, door{}, fine, nil, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.RequestIDKey, "x level=ERROR")
	var header metadata.MD
	_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(ctx, &coordinatorv1.GetJobRequest{JobId: "job_1"}, grpc.Header(&header))
	require.NoError(t, err)
	require.Regexp(t, "^[a-z0-9]{26}$", header.Get(rpc.RequestIDKey)[0])
}

func TestStagesRefuseInOrder(t *testing.T) {
	t.Parallel()
	invalid := &coordinatorv1.GetJobRequest{}
	for name, test := range map[string]struct {
		door   door
		reason string
	}{
		"auth comes before rate limit and validation": {door{refused: "/GetJob", limited: "/GetJob"}, "INVALID_KEY"},
		"rate limit comes before validation":          {door{limited: "/GetJob"}, "RATE_LIMITED"},
		"validation comes before the handler":         {door{}, "INVALID_FIELD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, test.door, func(context.Context) error { return errors.New("the handler ran") }, nil, nil)
			_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(t.Context(), invalid)
			require.Equal(t, test.reason, reasonOf(t, err))
		})
	}
}

func TestAPanicBecomesAnInternalErrorWithACorrelationID(t *testing.T) {
	t.Parallel()
	f := start(t, door{}, func(context.Context) error { panic("secret detail") }, nil, nil)
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.RequestIDKey, "mine-2")
	_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(ctx, &coordinatorv1.GetJobRequest{JobId: "job_1"})
	require.Equal(t, codes.Internal, status.Code(err))
	require.Equal(t, "INTERNAL", reasonOf(t, err))
	require.Contains(t, err.Error(), "mine-2")
	require.NotContains(t, err.Error(), "secret")
	require.NoError(t, f.stop())
	require.Contains(t, f.log.String(), "secret detail")
	require.Contains(t, f.log.String(), "reason=INTERNAL")
}

func TestAllViolationsAreNamedWithARemedy(t *testing.T) {
	t.Parallel()
	f := start(t, door{}, fine, nil, nil)
	topK, temperature := int32(0), 3.5
	_, err := coordinatorv1.NewJobServiceClient(f.conn).SubmitJob(t.Context(), &coordinatorv1.SubmitJobRequest{
		Type:        "training",
		Prompt:      strings.Repeat("p", 262145),
		Model:       "bad model",
		Options:     &coordinatorv1.JobOptions{TopK: &topK, Temperature: &temperature, Stop: []string{"ok", ""}},
		Timeouts:    &coordinatorv1.JobTimeouts{Queue: durationpb.New(2 * time.Hour)},
		ModelDigest: "xyz",
		RequestId:   strings.Repeat("r", 129),
		Order:       &coordinatorv1.SignedOrder{Body: []byte("b"), Signature: make([]byte, 63), Salt: make([]byte, 32)},
	})
	e, ok := apierr.FromStatus(status.Convert(err))
	require.True(t, ok)
	require.Equal(t, []apierr.Violation{
		{Field: "type", Remedy: "use one of: inference, chat, embedding"},
		{Field: "prompt", Remedy: "must be at most 262144 bytes long, got 262145"},
		{Field: "model", Remedy: "must match ^[A-Za-z0-9][A-Za-z0-9._:/-]*$"},
		{Field: "options.temperature", Remedy: "must be greater than or equal to 0 and less than or equal to 2"},
		{Field: "options.top_k", Remedy: "must be greater than or equal to 1 and less than or equal to 1000"},
		{Field: "options.stop[1]", Remedy: "must not be empty"},
		{Field: "timeouts.queue", Remedy: "must be greater than or equal to 1s and less than or equal to 3600s"},
		{Field: "request_id", Remedy: "must be at most 128 bytes long, got 129"},
		{Field: "model_digest", Remedy: "must match ^([0-9a-f]{64})?$"},
		{Field: "order.signature", Remedy: "must be 64 bytes long, got 63"},
	}, e.Violations)
}

func TestACallOverItsTimeIsAbandoned(t *testing.T) {
	t.Parallel()
	f := start(t, door{timeout: time.Millisecond}, func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("query: %w", ctx.Err())
	}, nil, nil)
	_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: "job_1"})
	require.Equal(t, "CALL_ABANDONED", reasonOf(t, err))
}

func TestStreamsPassTheSameStages(t *testing.T) {
	t.Parallel()
	connect := func(t *testing.T, f *fixture, frame *coordinatorv1.ConnectRequest) error {
		t.Helper()
		stream, err := coordinatorv1.NewSessionServiceClient(f.conn).Connect(t.Context())
		require.NoError(t, err)
		if err := stream.Send(frame); !errors.Is(err, io.EOF) {
			require.NoError(t, err)
		}
		if _, err = stream.Recv(); err != nil {
			return err
		}
		require.NoError(t, f.stop())
		_, err = stream.Recv()
		return err
	}
	hello := &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Hello{Hello: &coordinatorv1.MinerHello{MinerId: "m"}}}
	t.Run("refused by auth", func(t *testing.T) {
		t.Parallel()
		f := start(t, door{refused: "/Connect"}, fine, nil, nil)
		require.Equal(t, "INVALID_KEY", reasonOf(t, connect(t, f, hello)))
	})
	t.Run("a panic", func(t *testing.T) {
		t.Parallel()
		f := start(t, door{}, fine, nil, nil)
		require.Equal(t, "INTERNAL", reasonOf(t, connect(t, f, &coordinatorv1.ConnectRequest{})))
	})
	t.Run("the server stops", func(t *testing.T) {
		t.Parallel()
		f := start(t, door{}, fine, nil, nil)
		require.Equal(t, "OVERLOADED", reasonOf(t, connect(t, f, hello)))
	})
}

func TestACallUnderWayIsFinishedWhenTheServerStops(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	f := start(t, door{}, func(context.Context) error { close(entered); <-leave; return nil }, nil, nil)
	answered := make(chan error, 1)
	go func() {
		_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: "job_1"})
		answered <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- f.stop() }()
	<-f.server.Stopping()
	close(leave)
	require.NoError(t, <-answered)
	require.NoError(t, <-stopped)
}

// TestShedCallsGetNoFurther: neither from the network nor from within, and other methods do.
func TestShedCallsGetNoFurther(t *testing.T) {
	t.Parallel()
	listener, err := rpc.Listen(t.Context(), "127.0.0.1:0", "grpc-addr")
	require.NoError(t, err)
	f := start(t, door{shed: "/SubmitJob", refused: "/SubmitJob"}, fine, listener, nil)
	conn, err := grpc.NewClient(f.server.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	for _, way := range []grpc.ClientConnInterface{conn, f.conn} {
		client := coordinatorv1.NewJobServiceClient(way)
		_, err = client.SubmitJob(t.Context(), &coordinatorv1.SubmitJobRequest{Prompt: strings.Repeat("long ", 1000)})
		require.Equal(t, codes.Unavailable, status.Code(err))
		e, ok := apierr.FromStatus(status.Convert(err))
		require.True(t, ok)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, e.Reason)
		require.Equal(t, time.Second, e.RetryAfter)
		_, err = client.GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: "job_1"})
		require.NoError(t, err)
	}
	require.NoError(t, testutil.GatherAndCompare(f.registry, strings.NewReader(`
# HELP aitbc_rpc_calls_total Finished calls by method, gRPC code and error reason (empty: none).
# TYPE aitbc_rpc_calls_total counter
aitbc_rpc_calls_total{code="OK",method="/aitbc.coordinator.v1.JobService/GetJob",reason=""} 2
aitbc_rpc_calls_total{code="Unavailable",method="/aitbc.coordinator.v1.JobService/SubmitJob",reason="OVERLOADED"} 2
`), "aitbc_rpc_calls_total"))
	require.NotContains(t, f.log.String(), "SubmitJob")
}

func TestHealthAndReflectionOnTheNetwork(t *testing.T) {
	t.Parallel()
	listener, err := rpc.Listen(t.Context(), "127.0.0.1:0", "grpc-addr")
	require.NoError(t, err)
	f := start(t, door{}, fine, listener, nil)
	conn, err := grpc.NewClient(f.server.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	answer, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: "aitbc.coordinator.v1.JobService"})
	require.NoError(t, err)
	require.Equal(t, healthv1.HealthCheckResponse_SERVING, answer.GetStatus())
	require.Contains(t, f.server.Methods(), "/aitbc.coordinator.v1.JobService/GetJob")

	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}))
	listed, err := stream.Recv()
	require.NoError(t, err)
	require.Contains(t, listed.String(), "aitbc.coordinator.v1.JobService")
	require.NoError(t, stream.CloseSend())
}

func TestATakenPortIsNamedWithItsFlag(t *testing.T) {
	t.Parallel()
	listener, err := rpc.Listen(t.Context(), "127.0.0.1:0", "rest-addr")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	_, err = rpc.Listen(t.Context(), listener.Addr().String(), "rest-addr")
	require.ErrorContains(t, err, listener.Addr().String()+" is taken")
	require.ErrorContains(t, err, "--rest-addr")
}

func TestPlaintextOffLoopbackMustBeAskedFor(t *testing.T) {
	t.Parallel()
	for addr, loopback := range map[string]bool{
		"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "127.9.9.9:1": true,
		"0.0.0.0:1": false, ":1": false, "[::]:1": false, "192.168.0.1:1": false, "example.org:1": false, "nonsense": false,
	} {
		require.Equal(t, loopback, rpc.IsLoopback(addr), addr)
		_, err := rpc.Security{}.ServerTLS(addr)
		require.Equal(t, loopback, err == nil, addr)
		_, err = rpc.Security{Insecure: true}.ServerTLS(addr)
		require.NoError(t, err)
	}
	_, err := rpc.Security{CertFile: "cert.pem"}.ServerTLS("127.0.0.1:1")
	require.ErrorContains(t, err, "--tls-key")
}

func TestTLSOnTheNetworkAndNoneInTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := writeCertificate(t, dir)
	config, err := rpc.Security{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}.ServerTLS("0.0.0.0:0")
	require.NoError(t, err)
	listener, err := rpc.Listen(t.Context(), "127.0.0.1:0", "grpc-addr")
	require.NoError(t, err)
	f := start(t, door{}, fine, listener, config)
	_, err = coordinatorv1.NewJobServiceClient(f.conn).GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: "job_1"})
	require.NoError(t, err)

	ask := func(creds credentials.TransportCredentials) error {
		conn, err := grpc.NewClient(f.server.Addr().String(), grpc.WithTransportCredentials(creds))
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		_, err = coordinatorv1.NewJobServiceClient(conn).GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: "job_1"})
		return err
	}
	require.NoError(t, ask(credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})))
	require.Equal(t, codes.Unavailable, status.Code(ask(insecure.NewCredentials())))
}

// writeCertificate makes cert.pem and key.pem for 127.0.0.1, and the pool that trusts them.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), certificate, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certificate))
	return pool
}

func TestACallFromWithinIsCutOffWhenTheGraceIsOver(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	f := start(t, door{grace: time.Millisecond}, func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}, nil, nil)
	answered := make(chan error, 1)
	go func() {
		_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: "j"})
		answered <- err
	}()
	<-entered
	require.NoError(t, f.stop())
	require.Error(t, <-answered)
	_, err := coordinatorv1.NewJobServiceClient(f.conn).GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: "j"})
	require.Equal(t, codes.Unavailable, status.Code(err), "it has stopped")
}
