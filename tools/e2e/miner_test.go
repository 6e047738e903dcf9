package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMinerWithoutTheLeaseCannotComplete(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	id := submit(t, n, seedJob())
	eventually(t, "the job to wait", func() bool { return getJob(t, n, id).text("phase") == "queued" })

	a := call(t, n, http.MethodPost, "/v1/jobs/"+id+"/complete", completion(id, "stolen"), asMiner()...)

	require.GreaterOrEqual(t, a.Status, 400, "%v", a.Body)
	require.Equal(t, "LEASE_NOT_HELD", a.reason(), "%v", a.Body)
	require.Equal(t, "queued", getJob(t, n, id).text("phase"), "nothing happened to the job")
}

func TestASecondCompletionIsTheSameAnswerAndNoSecondPayment(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	account := clientAccount(t, n)
	job := awaitStatus(t, n, submit(t, n, seedJob()), "completed")
	after := balanceOf(t, n, account)
	receipt := call(t, n, http.MethodGet, "/v1/receipts/"+job.text("receipt_id"), nil, asClient()...)
	path := "/v1/jobs/" + job.text("job_id") + "/complete"

	first := call(t, n, http.MethodPost, path, completionOf(t, job, receipt), asMiner()...)
	second := call(t, n, http.MethodPost, path, completionOf(t, job, receipt), asMiner()...)

	require.Equal(t, http.StatusOK, first.Status, "%v", first.Body)
	require.Equal(t, first.Body, second.Body)
	require.Equal(t, job.text("receipt_id"), first.text("receipt_id"))
	require.Equal(t, after, balanceOf(t, n, account))
	require.EqualValues(t, 1, ledgerStatus(t, n).GetReceipts())
	requireConserved(t, n)
}

// completionOf is the completion that the miner sent, put together from job and receipt.
func completionOf(t *testing.T, job, receipt answerOf) map[string]any {
	t.Helper()
	evidence := receipt.Body["evidence"].(map[string]any)
	signature, err := base64.StdEncoding.DecodeString(evidence["statement_signature"].(string))
	require.NoError(t, err)
	meter := receipt.Body["meter"].(map[string]any)
	return map[string]any{
		"job_id": job.text("job_id"), "result": job.text("result"),
		"metrics":       map[string]any{"compute_time": meter["compute_time"], "tokens_generated": meter["output_tokens"]},
		"proof":         map[string]any{"hash": receipt.text("result_hash"), "signature": hex.EncodeToString(signature)},
		"prompt_tokens": meter["prompt_tokens"],
	}
}

func TestABodysJobIDMustBeThePaths(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	id := submit(t, n, seedJob())

	a := call(t, n, http.MethodPost, "/v1/jobs/"+id+"/complete", completion("job_01arz3ndektsv4rrffq69g5fav", "x"), asMiner()...)

	require.Equal(t, http.StatusBadRequest, a.Status, "%v", a.Body)
	require.Contains(t, a.violation()+a.text("message"), "job_id")
}

// completion is the seed document's body, with a proof that checks against nothing.
func completion(id, result string) map[string]any {
	zeros := make([]byte, 128)
	for i := range zeros {
		zeros[i] = '0'
	}
	return map[string]any{
		"job_id": id, "result": result,
		"metrics": map[string]any{"compute_time": 12.5, "tokens_generated": 150},
		"proof":   map[string]any{"hash": string(zeros[:64]), "signature": string(zeros)},
	}
}
