package e2e

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// site is a coordinator and a miner on a ledger of several processes.
type site struct {
	*replica
	keys   string // folder with the first accounts' keys
	ledger []string
	engine *faultyEngine
}

// startSite starts both, on all of the nodes, the last one first.
func startSite(t *testing.T, dir string, nodes []*validator) *site {
	t.Helper()
	s := &site{keys: filepath.Join(dir, "keys"), engine: newFaultyEngine(t)}
	var urls []string
	for _, v := range nodes {
		urls = append([]string{"http://" + v.rpcAddr}, urls...)
	}
	s.ledger = []string{"--ledger-url", strings.Join(urls, ","), "--operator-key", filepath.Join(s.keys, "operator.key")}
	// A busy machine is no reason for a job to fail.
	s.replica = startCoordinator(t, append(s.ledger, "--queue-timeout", "10m", "--execution-limit", "10m", "--total-timeout", "20m")...)
	startDaemon(t, "miner", "--key-file", filepath.Join(s.keys, "miner.key"), "--coordinators", s.grpc,
		"--ollama-url", s.engine.URL, "--listen", "127.0.0.1:0", "--slots", "2")
	return s
}

// keyFor makes an API key of an account.
func (s *site) keyFor(t *testing.T, account aitbc.AccountID) string {
	t.Helper()
	return newKeyAt(t, nil, append(s.ledger, "--state", filepath.Dir(s.logFile), "--account", account.String())...)
}

// client is who submits jobs at a site by REST, and remembers them.
type client struct {
	*site
	t    *testing.T
	key  string
	jobs []string
}

func (c *client) call(method, path string, body any) answerOf {
	c.t.Helper()
	return callAt(c.t, "http://"+c.rest, method, path, body, "X-Api-Key", c.key)
}

func (c *client) submit(count int) {
	c.t.Helper()
	for range count {
		job := seedJob()
		job["max_price"] = "1aitbc"
		a := c.call(http.MethodPost, "/v1/jobs", job)
		require.Equal(c.t, http.StatusOK, a.Status, "%v", a.Body)
		c.jobs = append(c.jobs, a.text("job_id"))
	}
}

// awaitAll waits until every job has been completed, and gives what they cost.
func (c *client) awaitAll() aitbc.Amount {
	c.t.Helper()
	var spent aitbc.Amount
	for _, id := range c.jobs {
		var job answerOf
		eventually(c.t, "job "+id+" to end", func() bool {
			job = c.call(http.MethodGet, "/v1/jobs/"+id, nil)
			status := job.text("status")
			return status == "completed" || status == "failed" || status == "cancelled"
		})
		require.Equal(c.t, "completed", job.text("status"), "%v", job.Body)
		spent += amount(c.t, job.text("cost"))
	}
	return spent
}

var blockAge = regexp.MustCompile(`(?m)^aitbc_ledger_block_age_seconds (\S+)$`)

// blockAge reads the age of the last block from the node's metrics.
func (v *validator) blockAge() time.Duration {
	v.t.Helper()
	answer, err := http.Get("http://" + v.metrics + "/metrics")
	require.NoError(v.t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(v.t, err)
	require.NoError(v.t, answer.Body.Close())
	found := blockAge.FindSubmatch(text)
	require.NotNil(v.t, found, "no age in %s", text)
	seconds, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(v.t, err)
	return time.Duration(seconds * float64(time.Second))
}

func (v *validator) status() *ledgerv1.GetStatusResponse {
	v.t.Helper()
	status, err := v.node.GetStatus(v.t.Context(), &ledgerv1.GetStatusRequest{})
	require.NoError(v.t, err)
	return status
}

// TestACoordinatorOutlastsTheHaltOfItsLedger kills validators below a coordinator: of one it takes no
// notice, with two gone it holds what it was given until the chain goes on.
func TestACoordinatorOutlastsTheHaltOfItsLedger(t *testing.T) {
	t.Parallel()
	dir, nodes := newNetwork(t, 4)
	for _, v := range nodes {
		v.start()
	}
	awaitBlocks(t, nodes, 2)
	s := startSite(t, dir, nodes)
	account := loadParty(t, filepath.Join(s.keys, "client.key")).id
	c := &client{site: s, t: t, key: s.keyFor(t, account)}
	before := nodes[0].balance(account)
	eventually(t, "the miner to be there", func() bool { return c.call(http.MethodGet, "/v1/models/tiny", nil).Status == http.StatusOK })
	c.submit(2)
	c.awaitAll()

	nodes[3].kill() // the one that the coordinator called
	c.submit(3)
	c.awaitAll()

	opened := make(chan struct{})
	s.engine.set(func(w http.ResponseWriter, r *http.Request, engine http.Handler) {
		select {
		case <-opened:
			engine.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	c.submit(4)
	eventually(t, "four open escrows", func() bool { return nodes[0].status().GetOpenEscrows() == 4 })
	nodes[2].kill()
	c.submit(3) // taken, and kept until the ledger can be asked
	close(opened)
	eventually(t, "the halt to show", func() bool {
		code, text := nodes[0].healthz()
		return code == http.StatusServiceUnavailable && strings.Contains(text, "the chain stands still")
	})
	require.Greater(t, nodes[0].blockAge(), 2*time.Second)
	halted := nodes[0].status()
	var refused answerOf
	eventually(t, "the coordinator to take no more", func() bool {
		refused = c.call(http.MethodGet, "/v1/account", nil)
		return refused.Status == http.StatusServiceUnavailable
	})
	require.Equal(t, "LEDGER_UNAVAILABLE", refused.reason())
	require.Equal(t, "LEDGER_UNAVAILABLE", c.call(http.MethodPost, "/v1/jobs", seedJob()).reason())
	still := nodes[0].status()
	require.Equal(t, halted.GetLedgerTimeUs(), still.GetLedgerTimeUs(), "no deadline comes nearer")
	require.Equal(t, halted.GetOpenEscrows(), still.GetOpenEscrows())

	nodes[2].start()
	nodes[3].start()
	spent := c.awaitAll()
	eventually(t, "the last escrow to end", func() bool { return nodes[0].status().GetOpenEscrows() == 0 })
	require.EqualValues(t, len(c.jobs), nodes[0].status().GetReceipts(), "every job was paid, once")
	awaitBlocks(t, nodes, 2)
	requireOneHash(t, nodes)
	for _, v := range nodes {
		require.Equal(t, before-spent, v.balance(account), v.state)
	}
	c.submit(1)
	c.awaitAll()
}

// TestASignedOrderOutlivesItsCoordinator has a client sign an order for an operator to which it has
// granted nothing, and kills the coordinator for good while the job runs.
func TestASignedOrderOutlivesItsCoordinator(t *testing.T) {
	t.Parallel()
	dir, nodes := newNetwork(t, 1)
	v := nodes[0]
	v.start()
	awaitBlocks(t, nodes, 1)
	runServer(t, "ledger", "param", "min_grace_us", "1000000", "--state", dir, "--ledger", v.grpcAddr)
	s := startSite(t, dir, nodes)
	s.engine.set(hangs)
	owner := loadParty(t, filepath.Join(t.TempDir(), "client.key"))
	const funds, price = 5_000_000, 500_000
	pay(t, dir, v, owner.id, funds)
	sdk, err := aitbc.New(s.grpc, aitbc.WithAPIKey(s.keyFor(t, owner.id)), aitbc.WithOrderKey(owner.key))
	require.NoError(t, err)
	defer func() { require.NoError(t, sdk.Close()) }()
	eventually(t, "the miner to be there", func() bool {
		models, err := sdk.Models(t.Context())
		return err == nil && len(models) > 0
	})
	signed, err := sdk.SignOrder(t.Context(), aitbc.SubmitRequest{
		Prompt: question, Model: "tiny", MaxPrice: price, SettleWithin: 2 * time.Second,
		Timeouts: aitbc.Timeouts{Queue: 20 * time.Second, Execution: 20 * time.Second, Total: 20 * time.Second},
	}, owner.key)
	require.NoError(t, err)
	const sooner = 4*time.Minute + 30*time.Second // of the five minutes that the SDK gives an order to be escrowed
	order := &signed.Order.Order
	order.ExpiresUS -= sooner.Microseconds()
	order.SettleByUS -= sooner.Microseconds()
	signed.Order.Signature = aitbc.Sign(owner.key, order.SigningBytes())
	submission, err := sdk.Submit(t.Context(), signed)
	require.NoError(t, err)
	eventually(t, "the escrow, and the miner at work", func() bool {
		return v.balance(owner.id) == funds-price && s.engine.generations.Load() > 0
	})
	s.signal(t, syscall.SIGKILL)

	eventually(t, "the money to be back", func() bool { return v.balance(owner.id) == funds })
	operator := loadParty(t, filepath.Join(s.keys, "operator.key")).id
	job, err := v.node.GetJob(t.Context(), &ledgerv1.GetJobRequest{JobId: submission.JobID.String(), OperatorId: operator.String()})
	require.NoError(t, err)
	require.Equal(t, ledgerv1.Settlement_OUTCOME_EXPIRED, job.GetSettlement().GetOutcome())
	require.EqualValues(t, price, job.GetSettlement().GetRefundedUaitbc())
}
