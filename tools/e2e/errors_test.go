package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

func TestABadSubmissionNamesItsField(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	with := func(field string, value any) map[string]any {
		job := seedJob()
		job[field] = value
		return job
	}
	for name, c := range map[string]struct {
		body  any
		field string
	}{
		"an empty prompt":        {with("prompt", ""), "prompt"},
		"an oversized prompt":    {with("prompt", strings.Repeat("a", 262_145)), "prompt"},
		"an unknown type":        {with("type", "prophecy"), "type"},
		"an unknown field":       {with("client_key", clientKey), "client_key"},
		"an unknown option":      {with("options", map[string]any{"num_ctx": 4096}), "num_ctx"},
		"an option out of range": {with("options", map[string]any{"temperature": 3}), "options.temperature"},
		"no model":               {with("model", ""), "model"},
		"a price without unit":   {with("max_price", "1"), "max_price"},
		"broken JSON":            {`{"type":`, ""},
	} {
		a := call(t, n, http.MethodPost, "/v1/jobs", c.body, asClient()...)
		require.Equal(t, http.StatusBadRequest, a.Status, "%s: %v", name, a.Body)
		require.Equal(t, "INVALID_FIELD", a.reason(), name)
		require.Contains(t, a.violation()+a.text("message"), c.field, name)
	}
	query := call(t, n, http.MethodGet, "/v1/jobs?colour=blue", nil, asClient()...)
	require.Equal(t, http.StatusBadRequest, query.Status, "%v", query.Body)
	require.Contains(t, query.violation()+query.text("message"), "colour")
	body := call(t, n, http.MethodPost, "/v1/jobs", with("prompt", strings.Repeat("a", 2<<20)), asClient()...)
	require.Equal(t, http.StatusRequestEntityTooLarge, body.Status, "%v", body.Body)
}

func TestWithoutAKeyThereIsNothing(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	for _, path := range []string{"/v1/jobs", "/v1/models", "/v1/miners", "/v1/account", "/v1/leases"} {
		require.Equal(t, http.StatusUnauthorized, call(t, n, http.MethodGet, path, nil).Status, path)
		wrong := call(t, n, http.MethodGet, path, nil, "X-Api-Key", "guess")
		require.Equal(t, http.StatusUnauthorized, wrong.Status, path)
		require.Equal(t, "INVALID_KEY", wrong.reason(), path)
	}
	require.Equal(t, http.StatusForbidden, call(t, n, http.MethodGet, "/v1/leases", nil, asClient()...).Status)
}

func TestNoMinerMeansFailedAfterTheQueueTimeoutAndRefunded(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	account := clientAccount(t, n)
	before := balanceOf(t, n, account)
	job := seedJob()
	job["timeouts"] = map[string]any{"queue": "5s"}

	id := submit(t, n, job)
	eventually(t, "the job to wait", func() bool { return getJob(t, n, id).text("phase") == "queued" })
	require.Less(t, balanceOf(t, n, account), before, "the escrow is held while it waits")
	failed := awaitStatus(t, n, id, "failed")

	require.Equal(t, "QUEUE_TIMEOUT", failure(failed))
	requireRefunded(t, n, account, before)
}

func TestAModelNobodyHasIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	job := seedJob()
	job["model"] = "nobody-has-this"

	a := call(t, n, http.MethodPost, "/v1/jobs", job, asClient()...)

	require.Equal(t, http.StatusNotFound, a.Status, "%v", a.Body)
	require.Equal(t, "MODEL_NOT_FOUND", a.reason())
}

func TestABrokenEngineFailsTheJobAndNobodyPays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  fault
		reason string
	}{
		"an engine error":       {answersError, "ENGINE_ERROR"},
		"a stream without done": {losesTheEnd, "ENGINE_INCOMPLETE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := newFaultyEngine(t)
			n := start(t, broken.URL)
			account := clientAccount(t, n)
			before := balanceOf(t, n, account)
			broken.set(c.fault)

			failed := awaitStatus(t, n, submit(t, n, seedJob()), "failed")

			require.Equal(t, c.reason, failure(failed), "%v", failed.Body)
			require.Empty(t, failed.text("receipt_id"))
			requireRefunded(t, n, account, before)
		})
	}
}

func TestAModelThatVanishedAfterSubmitFailsTheJob(t *testing.T) {
	t.Parallel()
	// The real thing: the model is deleted from a running engine between the miner's report and
	// the job.
	own := enginetest.StartOwn(t, engine.Options{Models: []engine.Model{engine.Tiny(), engine.TinyQ8()}})
	n := start(t, own.URL())
	account := clientAccount(t, n)
	before := balanceOf(t, n, account)
	deleteModel(t, own.URL(), engine.TinyQ8().Name)
	job := seedJob()
	job["model"] = engine.TinyQ8().Name
	job["timeouts"] = map[string]any{"queue": "10s"}

	a := call(t, n, http.MethodPost, "/v1/jobs", job, asClient()...)
	if a.Status == http.StatusNotFound { // the miner's next report came first
		require.Equal(t, "MODEL_NOT_FOUND", a.reason())
		return
	}
	failed := awaitStatus(t, n, a.text("job_id"), "failed")

	if failure(failed) != "QUEUE_TIMEOUT" { // or the report came before the lease
		require.Equal(t, "MODEL_NOT_FOUND", failure(failed), "%v", failed.Body)
	}
	requireRefunded(t, n, account, before)
}

func deleteModel(t *testing.T, url, name string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url+"/api/delete", strings.NewReader(`{"model":"`+name+`"}`))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func TestTooManyRequestsAreToldWhenToComeBack(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false", "--rate-limit", "1", "--rate-burst", "3")

	var limited answerOf
	eventually(t, "a request to be refused", func() bool {
		limited = call(t, n, http.MethodGet, "/v1/jobs", nil, asClient()...)
		return limited.Status == http.StatusTooManyRequests
	})

	require.Equal(t, "RATE_LIMITED", limited.reason())
	require.NotEmpty(t, limited.Header.Get("Retry-After"))
}

func TestWhatIsNotYoursDoesNotExist(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	other := createKey(t, n, "10aitbc")
	job := awaitStatus(t, n, submit(t, n, seedJob()), "completed")

	for _, path := range []string{"/v1/jobs/" + job.text("job_id"), "/v1/receipts/" + job.text("receipt_id")} {
		require.Equal(t, http.StatusNotFound, call(t, n, http.MethodGet, path, nil, "X-Api-Key", other).Status, path)
	}
	cancel := call(t, n, http.MethodPost, "/v1/jobs/"+job.text("job_id")+":cancel", map[string]any{}, "X-Api-Key", other)
	require.Equal(t, http.StatusNotFound, cancel.Status)
	require.Equal(t, "JOB_NOT_FOUND", cancel.reason())
}

func TestAnEmptyAccountIsAskedToPayFirst(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	poor := createKey(t, n, "0.01aitbc")

	a := call(t, n, http.MethodPost, "/v1/jobs", seedJob(), "X-Api-Key", poor)

	require.Equal(t, http.StatusPaymentRequired, a.Status, "%v", a.Body)
	require.Equal(t, "INSUFFICIENT_FUNDS", a.reason())
	small := seedJob()
	small["max_price"] = "0.01aitbc"
	require.Equal(t, http.StatusOK, call(t, n, http.MethodPost, "/v1/jobs", small, "X-Api-Key", poor).Status, "a job it can pay is taken")
}

func TestCancelReturnsTheEscrow(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	account := clientAccount(t, n)
	before := balanceOf(t, n, account)
	id := submit(t, n, seedJob())

	a := call(t, n, http.MethodPost, "/v1/jobs/"+id+":cancel", map[string]any{}, asClient()...)
	require.Equal(t, http.StatusOK, a.Status, "%v", a.Body)
	awaitStatus(t, n, id, "cancelled")

	requireRefunded(t, n, account, before)
	again := call(t, n, http.MethodPost, "/v1/jobs/"+id+":cancel", map[string]any{}, asClient()...)
	require.Equal(t, http.StatusOK, again.Status, "cancelling a cancelled job gives the same answer: %v", again.Body)
}

func TestCancelWhileRunningStopsTheEngine(t *testing.T) {
	t.Parallel()
	broken := newFaultyEngine(t)
	n := start(t, broken.URL)
	stopped := make(chan struct{})
	broken.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		hangs(w, r, next)
		close(stopped)
	})
	id := submit(t, n, seedJob())
	eventually(t, "the engine to be at work", func() bool { return broken.generations.Load() > 0 })
	awaitStatus(t, n, id, "running")

	require.Equal(t, http.StatusOK, call(t, n, http.MethodPost, "/v1/jobs/"+id+":cancel", map[string]any{}, asClient()...).Status)

	<-stopped
	awaitStatus(t, n, id, "cancelled")
	requireConserved(t, n)
}
