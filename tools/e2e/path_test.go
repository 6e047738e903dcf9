package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
)

func TestAJobGoesTheWholeWay(t *testing.T) {
	t.Parallel()
	goTheWholeWay(t, startWithEngine(t))
}

// goTheWholeWay sends a job through a new network and looks at all that it leaves behind.
func goTheWholeWay(t *testing.T, n *network.Network) {
	t.Helper()
	account := clientAccount(t, n)
	before := balanceOf(t, n, account)

	id := submit(t, n, seedJob())
	job := awaitStatus(t, n, id, "completed")

	require.True(t, strings.HasPrefix(job.text("result"), answer), "%q", job.text("result"))
	require.Equal(t, "done", job.text("phase"))
	require.Equal(t, "receipt_"+strings.TrimPrefix(id, "job_"), job.text("receipt_id"))
	require.EqualValues(t, 1, job.Body["attempts"])

	receipt := call(t, n, http.MethodGet, "/v1/receipts/"+job.text("receipt_id"), nil, asClient()...)
	require.Equal(t, http.StatusOK, receipt.Status, "%v", receipt.Body)
	require.Equal(t, job.text("cost"), receipt.text("amount_paid"))
	require.Equal(t, account, receipt.text("client"))
	require.Equal(t, job.text("miner_id"), receipt.text("miner"))
	hash := sha256.Sum256([]byte(job.text("result")))
	require.Equal(t, hex.EncodeToString(hash[:]), receipt.text("result_hash"))

	paid := amount(t, job.text("cost"))
	require.Positive(t, paid)
	require.Equal(t, before-paid, balanceOf(t, n, account), "the balance is down by exactly the cost")
	require.Equal(t, amount(t, job.text("max_price")), paid+amount(t, receipt.text("amount_refunded")))
	requireConserved(t, n)

	height, ok := receipt.Body["block_height"].(float64)
	require.True(t, ok, "block_height is a JSON number")
	block := callAt(t, "http://"+n.LedgerRPC, http.MethodGet, "/block?height="+strconv.Itoa(int(height)), nil)
	txs := block.Body["result"].(map[string]any)["block"].(map[string]any)["data"].(map[string]any)["txs"].([]any)
	require.NotEmpty(t, txs, "the block at the receipt's height has its transaction")
}

func TestTheMinersOwnerReadsTheReceiptToo(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	job := awaitStatus(t, n, submit(t, n, seedJob()), "completed")

	a := call(t, n, http.MethodGet, "/v1/receipts/"+job.text("receipt_id"), nil, asMiner()...)

	require.Equal(t, http.StatusOK, a.Status, "%v", a.Body)
	require.Equal(t, job.text("job_id"), a.text("job_id"))
}

func TestTheSameRequestTwiceIsOneJob(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	headers := append(asClient(), "Idempotency-Key", "once")

	first := call(t, n, http.MethodPost, "/v1/jobs", seedJob(), headers...)
	again := call(t, n, http.MethodPost, "/v1/jobs", seedJob(), headers...)
	other := seedJob()
	other["prompt"] = "Name an animal."
	different := call(t, n, http.MethodPost, "/v1/jobs", other, headers...)

	require.Equal(t, http.StatusOK, first.Status, "%v", first.Body)
	require.Equal(t, first.text("job_id"), again.text("job_id"))
	require.Equal(t, http.StatusConflict, different.Status)
	require.Equal(t, "IDEMPOTENCY_MISMATCH", different.reason())
}

func TestJobsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	first := submit(t, n, seedJob())
	awaitStatus(t, n, first, "completed") // ids of the same millisecond are in no order
	second := submit(t, n, seedJob())
	awaitStatus(t, n, second, "completed")

	page := call(t, n, http.MethodGet, "/v1/jobs?page_size=1&status=completed", nil, asClient()...)
	require.Equal(t, http.StatusOK, page.Status, "%v", page.Body)
	next := call(t, n, http.MethodGet, "/v1/jobs?page_size=1&status=completed&page_token="+page.text("next_page_token"), nil, asClient()...)

	id := func(a answerOf) any { return a.Body["jobs"].([]any)[0].(map[string]any)["job_id"] }
	require.Equal(t, second, id(page))
	require.Equal(t, first, id(next))
}

func TestModelsAndMinersAreListed(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)

	models := call(t, n, http.MethodGet, "/v1/models", nil, asClient()...)
	model := call(t, n, http.MethodGet, "/v1/models/tiny:latest", nil, asClient()...)
	miners := call(t, n, http.MethodGet, "/v1/miners", nil, asClient()...)

	require.Equal(t, "list", models.text("object"))
	require.Equal(t, "tiny:latest", model.text("id"), "%v", model.Body)
	require.Len(t, miners.Body["miners"], 1)
}

func TestMetricsCountJobsByStatus(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	awaitStatus(t, n, submit(t, n, seedJob()), "completed")

	eventually(t, "the metric to count the job", func() bool {
		response, err := http.Get("http://" + n.CoordinatorMetrics + "/metrics")
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return strings.Contains(string(text), `aitbc_jobs{status="completed"} 1`)
	})
}

func TestTheOwnerAssignsAQueuedJob(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	job := awaitStatus(t, n, submit(t, n, seedJob()), "completed")
	assign := func(key string, data map[string]any) answerOf {
		return callAt(t, "http://"+n.Miner, http.MethodPost, "/v1/jobs/assign",
			map[string]any{"job_id": job.text("job_id"), "job_data": data, "reward": "100aitbc"}, "X-Api-Key", key)
	}
	data := map[string]any{"type": "inference", "prompt": question, "model": "tiny"}

	require.Equal(t, http.StatusUnauthorized, assign("guess", data).Status, "only the owner may")
	done := assign(adminKey, data)
	require.Equal(t, http.StatusConflict, done.Status, "a job that is done is refused: %v", done.Body)
	require.Equal(t, "WRONG_STATE", done.reason())
	data["prompt"] = "Name an animal."
	require.Equal(t, "ASSIGNMENT_MISMATCH", assign(adminKey, data).reason(), "the data must be the job's")
}
