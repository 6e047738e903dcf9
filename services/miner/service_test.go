package miner_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	minerv1 "github.com/aitbc/aitbc/gen/go/aitbc/miner/v1"
	"github.com/aitbc/aitbc/services/miner"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/executor/ollamafake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ownerKey = "owner_key_of_this_test"
	jobID    = "job_01arz3ndektsv4rrffq69g5fav"
)

// running is a miner with its coordinator and a fake engine.
type running struct {
	operator    coordinatortest.Operator
	coordinator *coordinatortest.Server
	service     *miner.Service
	leave       func() // ends Run's context
}

// start starts a miner that ends with the test at the latest.
func start(t *testing.T, change func(*miner.Config)) *running {
	t.Helper()
	r := &running{operator: coordinatortest.NewOperator(t)}
	r.coordinator = coordinatortest.StartTCP(t, r.operator)
	fake := ollamafake.Start(t)
	fake.OnPrompt("hang", ollamafake.Hang("one ", "two"))
	cfg := miner.DefaultConfig()
	cfg.StateDir, cfg.Listen, cfg.EngineURL = t.TempDir(), "127.0.0.1:0", fake.URL().String()
	cfg.Coordinators = []string{r.coordinator.Addr()}
	cfg.OwnerKeyHashes = []string{miner.HashKey("another key"), miner.HashKey(ownerKey)}
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 50*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	var err error
	r.service, err = miner.New(cfg, miner.Deps{Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Registry: prometheus.NewRegistry()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- r.service.Run(ctx) }()
	r.leave = cancel
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-left:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			require.Fail(t, "the miner does not leave")
		}
	})
	select {
	case <-r.service.Ready():
	case <-time.After(time.Minute):
		require.Fail(t, "the miner is not up")
	}
	return r
}

// call makes a REST call and gives its status code and JSON.
func (r *running) call(t *testing.T, method, path, key, body string) (int, map[string]any) {
	t.Helper()
	code, text := r.raw(t, method, path, key, body)
	var answer map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &answer), "%s", text)
	return code, answer
}

func (r *running) raw(t *testing.T, method, path, key, body string) (int, string) {
	t.Helper()
	a := r.do(t.Context(), method, path, key, body)
	require.NoError(t, a.err)
	return a.code, a.text
}

type answered struct {
	code int
	text string
	err  error
}

func (r *running) do(ctx context.Context, method, path, key, body string) answered {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.service.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		return answered{err: err}
	}
	if key != "" {
		request.Header.Set("X-Api-Key", key)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return answered{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, string(text), err}
}

func (r *running) awaitConnected(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, status := r.call(t, http.MethodGet, "/v1/status", "", "")
		return status["session"] == "connected" && len(status["models"].([]any)) == 1
	}, time.Minute, 5*time.Millisecond)
}

const assignment = `{"job_id": "` + jobID + `", "job_data": {"type": "inference", "prompt": "p", "model": "parrot"}, "reward": "0.25aitbc"}`

// reason reads the one ErrorInfo of an error.
func reason(t *testing.T, answer map[string]any) string {
	t.Helper()
	for _, detail := range answer["details"].([]any) {
		if word, ok := detail.(map[string]any)["reason"].(string); ok {
			return word
		}
	}
	require.Fail(t, "no reason", "%v", answer)
	return ""
}

func TestTheOwnersPortShowsTheMiner(t *testing.T) {
	r := start(t, nil)
	r.coordinator.Session(t)
	r.awaitConnected(t)
	code, status := r.call(t, http.MethodGet, "/v1/status", "", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, r.service.Account().String(), status["miner_id"])
	require.Equal(t, r.coordinator.Addr(), status["coordinator"])
	require.Equal(t, "ollama/"+ollamafake.Version, status["engine"])
	require.EqualValues(t, 1, status["slots"])
	require.Equal(t, ollamafake.Model, status["models"].([]any)[0].(map[string]any)["name"])

	code, text := r.raw(t, http.MethodGet, "/healthz", "", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "ok\n", text)
	_, text = r.raw(t, http.MethodGet, "/metrics", "", "")
	require.Contains(t, text, "aitbc_miner_connected 1")
}

func TestGRPCIsOnTheSamePort(t *testing.T) {
	r := start(t, nil)
	conn, err := grpc.NewClient(r.service.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	status, err := minerv1.NewMinerServiceClient(conn).GetStatus(t.Context(), &minerv1.GetStatusRequest{})
	require.NoError(t, err)
	require.Equal(t, r.service.Account().String(), status.GetStatus().GetMinerId())
	health, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: "aitbc.miner.v1.MinerService"})
	require.NoError(t, err)
	require.Equal(t, healthv1.HealthCheckResponse_SERVING, health.GetStatus())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reflection, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	require.NoError(t, err)
	require.NoError(t, reflection.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}))
	list, err := reflection.Recv()
	require.NoError(t, err)
	require.Contains(t, list.GetListServicesResponse().String(), "aitbc.miner.v1.MinerService")
}

func TestOnlyTheOwnerAssigns(t *testing.T) {
	r := start(t, nil)
	for name, key := range map[string]string{"no key": "", "a wrong key": "guess", "the hash itself": miner.HashKey(ownerKey)} {
		t.Run(name, func(t *testing.T) {
			code, answer := r.call(t, http.MethodPost, "/v1/jobs/assign", key, assignment)
			require.Equal(t, http.StatusUnauthorized, code)
			require.Equal(t, "INVALID_KEY", reason(t, answer))
		})
	}
}

func TestAnAssignmentIsTheCoordinatorsToGrant(t *testing.T) {
	r := start(t, nil)
	talk := r.coordinator.Session(t)
	r.awaitConnected(t)
	cases := map[string]struct {
		answer *coordinatorv1.JobClaimAnswer
		code   int
		reason string
	}{
		"granted":          {&coordinatorv1.JobClaimAnswer{LeaseId: "lease_01arz3ndektsv4rrffq69g5fav_1"}, http.StatusOK, ""},
		"no such job":      {&coordinatorv1.JobClaimAnswer{Reason: "JOB_NOT_FOUND"}, http.StatusNotFound, "JOB_NOT_FOUND"},
		"another prompt":   {&coordinatorv1.JobClaimAnswer{Reason: "ASSIGNMENT_MISMATCH"}, http.StatusConflict, "ASSIGNMENT_MISMATCH"},
		"running already":  {&coordinatorv1.JobClaimAnswer{Reason: "WRONG_STATE"}, http.StatusConflict, "WRONG_STATE"},
		"not with us":      {&coordinatorv1.JobClaimAnswer{Reason: "MODEL_NOT_FOUND"}, http.StatusNotFound, "MODEL_NOT_FOUND"},
		"for a new reason": {&coordinatorv1.JobClaimAnswer{Reason: "MOON_PHASE"}, http.StatusConflict, "WRONG_STATE"},
		"without a reason": {&coordinatorv1.JobClaimAnswer{}, http.StatusConflict, "WRONG_STATE"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.answer.JobId = jobID
			calling := make(chan answered, 1)
			go func() { calling <- r.do(t.Context(), http.MethodPost, "/v1/jobs/assign", ownerKey, assignment) }()
			require.Equal(t, "p", talk.Claim(t).GetPrompt())
			talk.Answer(t, c.answer)
			got := <-calling
			require.NoError(t, got.err)
			require.Equal(t, c.code, got.code, "%v", got.text)
			var answer map[string]any
			require.NoError(t, json.Unmarshal([]byte(got.text), &answer))
			if c.reason == "" {
				require.Equal(t, map[string]any{"job_id": jobID, "lease_id": c.answer.GetLeaseId(), "status": "running"}, answer)
				return
			}
			require.Equal(t, c.reason, reason(t, answer))
		})
	}
}

func TestAnAssignmentThatCannotBeAsked(t *testing.T) {
	r := start(t, func(cfg *miner.Config) { cfg.Coordinators = []string{"127.0.0.1:1"} })
	code, answer := r.call(t, http.MethodPost, "/v1/jobs/assign", ownerKey, assignment)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "COORDINATOR_UNAVAILABLE", reason(t, answer))

	for name, body := range map[string]string{
		"a job id that is none":   strings.Replace(assignment, jobID, "job_x", 1),
		"a reward that is none":   strings.Replace(assignment, "0.25aitbc", "0.25", 1),
		"an unknown field":        strings.Replace(assignment, "reward", "tip", 1),
		"an unknown type of jobs": strings.Replace(assignment, "inference", "training", 1),
	} {
		t.Run(name, func(t *testing.T) {
			code, answer := r.call(t, http.MethodPost, "/v1/jobs/assign", ownerKey, body)
			require.Equal(t, http.StatusBadRequest, code)
			require.Equal(t, "INVALID_FIELD", reason(t, answer))
		})
	}
}

// hangingLease starts a lease that never ends by itself.
func (r *running) hangingLease(t *testing.T, talk *coordinatortest.Session) *coordinatorv1.Lease {
	t.Helper()
	r.awaitConnected(t)
	lease := r.operator.Lease(t, coordinatortest.Job{
		Miner: r.service.Account(), Model: ollamafake.Model, Digest: ollamafake.Digest, Prompt: "hang",
	})
	talk.Offer(t, lease)
	talk.Start(t)
	return lease
}

func TestALeavingMinerFinishesWhatItRuns(t *testing.T) {
	r := start(t, nil)
	talk := r.coordinator.Session(t)
	lease := r.hangingLease(t, talk)
	r.leave()
	talk.State(t, "draining", func(s *coordinatorv1.MinerState) bool { return s.GetDraining() && len(s.GetRunningLeaseIds()) == 1 })
	talk.Revoke(t, lease.GetLeaseId(), false)
	<-talk.Ended()
}

func TestALeavingMinerGivesUpAtItsDeadlineAndSaysSo(t *testing.T) {
	r := start(t, func(cfg *miner.Config) { cfg.DrainTimeout = 50 * time.Millisecond })
	talk := r.coordinator.Session(t)
	lease := r.hangingLease(t, talk)
	r.leave()
	failure := talk.Failure(t)
	require.Equal(t, lease.GetLeaseId(), failure.GetLeaseId())
	require.Equal(t, "MINER_LOST", failure.GetReason())
	<-talk.Ended()
}

func TestTwoMinersCannotShareAStateFolder(t *testing.T) {
	var shared miner.Config
	start(t, func(cfg *miner.Config) { shared = *cfg })
	second, err := miner.New(shared, miner.Deps{Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
	require.NoError(t, err)
	require.ErrorContains(t, second.Run(t.Context()), "another process uses the spool")
}

func TestConfigFaultsAreAllReported(t *testing.T) {
	require.ErrorContains(t, miner.DefaultConfig().Validate(), "state-dir")
	err := miner.Config{
		Coordinators: []string{"nowhere"}, Operators: []string{"x"}, TLS: true, Insecure: true, EngineURL: "ftp://x", Slots: 1000,
		Models: []string{"m"}, Pull: []string{"m:latest", "other", "https://hub.example/n/m"},
		PriceFloorUaitbc: -1, MemoryReserve: -1, Listen: "x", OwnerKeyHashes: []string{"plain"}, BackoffMax: -1, KeepAccepted: -1,
	}.Validate()
	for _, fault := range []string{
		"state-dir", "coordinators", "operators", "insecure", "ollama-url", "slots", "pull other is not among models", "no model's name", "price-floor", "memory-reserve", "listen", "owner-key-hashes",
		"claim-timeout", "drain-timeout", "refresh-interval", "handshake-timeout", "backoff-min", "backoff-max", "keep-accepted",
	} {
		require.ErrorContains(t, err, fault)
	}
	exposed := miner.DefaultConfig()
	exposed.StateDir, exposed.Listen = t.TempDir(), "0.0.0.0:18001"
	require.ErrorContains(t, exposed.Validate(), "not loopback")
}
