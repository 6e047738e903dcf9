package gateway_test

import (
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

func TestTheSeedsCompletion(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.jobs[jobID] = completedJob()
	p := serve(t, w, auth.DefaultLimitConfig())
	hash, signature := aitbc.ResultHash([]byte("Machine learning is ...")), strings.Repeat("c", 128)
	body := `{"job_id":"` + jobID.String() + `","result":"Machine learning is ...",
		"metrics":{"compute_time":12.5,"tokens_generated":150,"gpu_utilization":0.85},
		"proof":{"hash":"` + hash.String() + `","signature":"` + signature + `"}}`
	answer := p.do(t, "POST", "/v1/jobs/"+jobID.String()+"/complete", body, "X-Miner-Key", theMinerKey)
	require.Equal(t, 200, answer.StatusCode)
	var got struct {
		JobID      string `json:"job_id"`
		Status     string `json:"status"`
		ReceiptID  string `json:"receipt_id"`
		Acceptance struct {
			Body      []byte `json:"body"`
			MeteredUS string `json:"metered_us"`
		} `json:"acceptance"`
	}
	require.NoError(t, json.Unmarshal([]byte(readAll(t, answer)), &got))
	require.Equal(t, jobID.ReceiptID(), got.ReceiptID)
	require.Equal(t, "completed", got.Status)
	require.Equal(t, completedJob().Completion.Acceptance().SigningBytes(), got.Acceptance.Body)
	require.Equal(t, "12500000", got.Acceptance.MeteredUS)
	utilization := 0.85
	raw, err := hex.DecodeString(signature)
	require.NoError(t, err)
	require.Equal(t, []dispatch.Completion{{
		JobID: jobID, Result: "Machine learning is ...", Hash: hash, Signature: raw, ComputeUS: 12_500_000,
		OutputTokens: 150, GPUUtilization: &utilization,
	}}, w.completed)
}

// The longest result that the stream takes is taken here too, however its JSON is written.
func TestTheLongestResultFits(t *testing.T) {
	t.Parallel()
	const longest = 1 << 20
	for name, test := range map[string]struct{ written, text string }{
		"quotes":             {`\"`, `"`},
		"escaped characters": {`\u0001`, "\x01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.jobs[jobID] = completedJob()
			body := `{"result":"` + strings.Repeat(test.written, longest) + `","metrics":{},
				"proof":{"hash":"` + strings.Repeat("ab", 32) + `","signature":"` + strings.Repeat("c", 128) + `"}}`
			answer := serve(t, w, auth.DefaultLimitConfig()).do(t, "POST", "/v1/jobs/"+jobID.String()+"/complete", body, "X-Miner-Key", theMinerKey)
			require.Equal(t, 200, answer.StatusCode, readAll(t, answer))
			require.Equal(t, strings.Repeat(test.text, longest), w.completed[0].Result)
		})
	}
}

func TestACompletionWithABadProofIsNamed(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	good := strings.Repeat("ab", 32)
	for name, test := range map[string]struct{ hash, signature, want string }{
		"the seed's placeholders": {"hash_of_result", "miner_signature", "proof.hash: must be 64 lower-case hex digits"},
		"upper case":              {strings.ToUpper(good), strings.Repeat("ab", 64), "proof.hash: must be 64 lower-case hex digits"},
		"short signature":         {good, good, "proof.signature: must be 128 lower-case hex digits"},
		"upper-case signature":    {good, strings.Repeat("AB", 64), "proof.signature: must be 128 lower-case hex digits"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"result":"r","metrics":{},"proof":{"hash":"` + test.hash + `","signature":"` + test.signature + `"}}`
			answer := p.do(t, "POST", "/v1/jobs/"+jobID.String()+"/complete", body, "X-Miner-Key", theMinerKey)
			require.Equal(t, 400, answer.StatusCode)
			_, fields := readFault(t, answer)
			require.Equal(t, []string{test.want}, fields)
		})
	}
}

func TestTheSeedsStatusMessage(t *testing.T) {
	t.Parallel()
	w := newWorld()
	running := leasedJob()
	running.Phase = job.Running
	w.jobs[jobID] = running
	p := serve(t, w, auth.DefaultLimitConfig())
	path := "/v1/jobs/" + jobID.String() + "/status"
	answer := p.do(t, "POST", path, `{"status":"running","started_at":"2025-01-29T14:50:05Z"}`, "X-Miner-Key", theMinerKey)
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, `{"job_id":"`+jobID.String()+`","status":"running"}`+"\n", readAll(t, answer))
	require.Equal(t, 200, p.do(t, "POST", path, `{"status":"running"}`, "X-Miner-Key", theMinerKey).StatusCode)
	require.Equal(t, []time.Time{time.Date(2025, 1, 29, 14, 50, 5, 0, time.UTC), {}}, w.started)
}

func TestAMinerThatHoldsNoLeaseIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.leaseErr = job.ErrLeaseNotHeld
	p := serve(t, w, auth.DefaultLimitConfig())
	answer := p.do(t, "POST", "/v1/jobs/"+jobID.String()+"/status", `{"status":"running"}`, "X-Miner-Key", theMinerKey)
	require.Equal(t, 409, answer.StatusCode)
	reason, _ := readFault(t, answer)
	require.Equal(t, "LEASE_NOT_HELD", reason)
}

func TestPagesJoinToTheWholeList(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for n := byte(1); n <= 5; n++ {
		j := completedJob()
		j.ID = numbered(n)
		w.jobs[j.ID] = j
	}
	p := serve(t, w, auth.DefaultLimitConfig())
	jobs := coordinatorv1.NewJobServiceClient(p.conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-api-key", clientKey)
	var ids []string
	request := &coordinatorv1.ListJobsRequest{PageSize: 2}
	for {
		page, err := jobs.ListJobs(ctx, request)
		require.NoError(t, err)
		for _, j := range page.GetJobs() {
			ids = append(ids, j.GetJobId())
			require.Empty(t, j.GetResult(), "a list has no results")
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
		require.Len(t, page.GetJobs(), 2)
	}
	var want []string
	for n := byte(5); n >= 1; n-- {
		want = append(want, numbered(n).String())
	}
	require.Equal(t, want, ids)

	first, err := jobs.ListJobs(ctx, request)
	require.NoError(t, err)
	_, err = jobs.ListJobs(ctx, &coordinatorv1.ListJobsRequest{Status: "failed", PageToken: first.GetNextPageToken()})
	require.Equal(t, codes.InvalidArgument, status.Code(err), "a token is of one filter")
}

// No route hides another, whatever the order of registration: each pattern's own path reaches its
// own method, which the refusal for want of a key names.
func TestEveryRouteReachesItsMethod(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	answer := p.do(t, "GET", "/openapi.json", "")
	var document struct {
		Paths map[string]map[string]struct {
			Security *[]any `json:"security"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal([]byte(readAll(t, answer)), &document))
	seen := 0
	for path, verbs := range document.Paths {
		for verb, operation := range verbs {
			want := 401
			switch {
			case path == "/v1/faucet":
				want = 400 // open, and it wants an address
			case operation.Security != nil && len(*operation.Security) == 0:
				want = 200 // open to anyone
			}
			concrete := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "x")
			answer := p.do(t, strings.ToUpper(verb), concrete, "")
			require.Equal(t, want, answer.StatusCode, "%s %s", verb, concrete)
			seen++
		}
	}
	require.Greater(t, seen, 20)
}

func TestEveryMethodHasARule(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	methods := p.server.Methods()
	slices.Sort(methods)
	require.Equal(t, methods, auth.Methods())
}

func TestErrorsOverGRPCCarryTheSameReason(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	_, err := coordinatorv1.NewJobServiceClient(p.conn).GetJob(t.Context(), &coordinatorv1.GetJobRequest{JobId: jobID.String()})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	e, ok := apierr.FromStatus(status.Convert(err))
	require.True(t, ok)
	require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY, e.Reason)
}
