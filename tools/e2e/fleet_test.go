package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

func TestAPrivateFleetRunsWithoutALedger(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--ledger", "none")

	job := awaitStatus(t, n, submit(t, n, seedJob()), "completed")

	require.True(t, strings.HasPrefix(job.text("result"), answer), "%v", job.Body)
	require.Equal(t, "0aitbc", job.text("cost"))
	require.Empty(t, job.text("receipt_id"))
	require.Empty(t, job.text("tx_hash"))
	require.Empty(t, n.LedgerRPC)
	account := call(t, n, http.MethodGet, "/v1/account", nil, asClient()...)
	require.Equal(t, "0aitbc", account.text("price_per_second"))
	taken := call(t, n, http.MethodPost, "/v1/jobs", seedJob(), asClient()...)
	require.Equal(t, http.StatusOK, taken.Status)
	require.NotContains(t, taken.Body, "available", "nothing costs anything")
	chat := openAI(t, n, "/v1/chat/completions", chatBody(nil))
	require.Equal(t, http.StatusOK, chat.Status, "%v", chat.Body)
	require.Equal(t, "none", chat.Header.Get("Aitbc-Receipt-State"))
	require.Empty(t, chat.Header.Get("Aitbc-Receipt-Id"))
	require.Empty(t, chat.Header.Get("Aitbc-Available"))
	faucet := call(t, n, http.MethodPost, "/v1/faucet", map[string]any{"account_id": account.text("account_id")})
	require.Equal(t, http.StatusNotFound, faucet.Status, "where nothing costs anything there is no faucet")
	require.Equal(t, "ROUTE_NOT_FOUND", faucet.reason())
	waiting := seedJob()
	waiting["model"], waiting["timeouts"] = "nobody-has-this", map[string]any{"queue": "1s"}
	require.Equal(t, "MODEL_NOT_FOUND", call(t, n, http.MethodPost, "/v1/jobs", waiting, asClient()...).reason())
}

func TestAMinerJoinsAFleetByAKey(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--ledger", "none", "--miner=false")
	aitbcd := filepath.Join(programs, "aitbcd")
	miner := startDaemon(t, "miner", "--coordinators", n.CoordinatorGRPC, "--ollama-url", enginetest.Start(t).URL(), "--listen", "127.0.0.1:0")
	refused := "no key of scope miner: "
	eventually(t, "the stranger to be told how it may join", func() bool { return strings.Contains(miner.log(t), refused) })
	hint := miner.log(t)[strings.Index(miner.log(t), refused)+len(refused):]
	account := hint[strings.LastIndex(hint[:strings.IndexAny(hint, "\n\"")], " ")+1 : strings.IndexAny(hint, "\n\"")]

	out := execute(t, nil, aitbcd, "coordinator", "keys", "create", "--ledger", "none", "--state", filepath.Dir(n.LogFile()),
		"--name", "gpu", "--scope", "miner", "--account", account)
	require.Zero(t, out.Code, out.Stderr)
	out = execute(t, nil, aitbcd, "coordinator", "keys", "create", "--ledger", "none", "--state", filepath.Dir(n.LogFile()), "--name", "alice")
	require.Zero(t, out.Code, out.Stderr)
	out = execute(t, nil, aitbcd, "coordinator", "keys", "fund", "--ledger", "none", "--state", filepath.Dir(n.LogFile()), account, "1aitbc")
	require.NotZero(t, out.Code)
	require.Contains(t, out.Stderr, "there is no ledger")

	require.Equal(t, account, awaitStatus(t, n, submit(t, n, seedJob()), "completed").text("miner_id"))
}
