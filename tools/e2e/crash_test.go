package e2e

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

func TestKillInTheMiddleOfAHundredJobsLosesNothing(t *testing.T) {
	t.Parallel()
	killInTheMiddle(t, startWithEngine(t, "--rate-limit", "0"))
}

// killInTheMiddle kills a network while it works on many jobs and looks at what each became.
func killInTheMiddle(t *testing.T, n *network.Network) {
	t.Helper()
	const jobs = 100
	account := clientAccount(t, n)
	before := balanceOf(t, n, account)
	ids := submitMany(t, n, jobs)
	eventually(t, "a third to be done", func() bool { return count(t, n, "completed") >= jobs/3 })

	n.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, n.Restart(ctx))

	var spent aitbc.Amount
	for _, id := range ids {
		job := awaitStatus(t, n, id, "completed")
		spent += amount(t, job.text("cost"))
	}
	require.Equal(t, before-spent, balanceOf(t, n, account), "each job was paid once")
	status := ledgerStatus(t, n)
	require.EqualValues(t, jobs, status.GetReceipts(), "one receipt for each job")
	require.Zero(t, status.GetOpenEscrows())
	requireConserved(t, n)
}

func submitMany(t *testing.T, n *network.Network, jobs int) []string {
	t.Helper()
	ids := make([]string, jobs)
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() {
			job := seedJob()
			job["max_price"] = "1aitbc" // an escrow that is on its way counts twice, and all fit into the allowance
			ids[i] = submit(t, n, job)
		})
	}
	wait.Wait()
	return ids
}

// count counts the client's jobs with a status.
func count(t *testing.T, n *network.Network, status string) int {
	t.Helper()
	page := call(t, n, http.MethodGet, "/v1/jobs?page_size=1000&status="+status, nil, asClient()...)
	require.Equal(t, http.StatusOK, page.Status, "%v", page.Body)
	jobs, _ := page.Body["jobs"].([]any)
	return len(jobs)
}

func TestARestartKeepsReceiptsAndKeys(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	key := createKey(t, n, "5aitbc")
	job := awaitStatus(t, n, submit(t, n, seedJob()), "completed")
	hash := ledgerStatus(t, n).GetAppHash()

	require.NoError(t, n.Stop())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, n.Restart(ctx))

	require.Equal(t, hash, ledgerStatus(t, n).GetAppHash())
	require.Equal(t, job.Body, getJob(t, n, job.text("job_id")).Body)
	require.Equal(t, "5aitbc", call(t, n, http.MethodGet, "/v1/account", nil, "X-Api-Key", key).text("balance"))
}
