package e2e

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
	"github.com/aitbc/aitbc/tools/internal/ports"
	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

// daemon is a server that runs beside a network.
type daemon struct {
	command *exec.Cmd
	logFile string
}

// startDaemon starts aitbcd with its output in a file; the test's end kills it.
func startDaemon(t *testing.T, args ...string) *daemon {
	t.Helper()
	state := t.TempDir()
	d := &daemon{logFile: filepath.Join(state, "process.log")}
	output, err := os.Create(d.logFile)
	require.NoError(t, err)
	d.command = exec.Command(filepath.Join(programs, "aitbcd"), append(args, "--state", state, "--log-dir", filepath.Join(state, "log"))...)
	d.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d.command.Stdout, d.command.Stderr = output, output
	require.NoError(t, d.command.Start())
	t.Cleanup(func() {
		_ = d.command.Process.Kill() // it may be gone, which is what we want
		_ = d.command.Wait()
		require.NoError(t, output.Close())
		text := d.log(t)
		requireNoRace(t, []byte(text))
		if t.Failed() {
			t.Logf("log of %s:\n%s", args[0], text[max(0, len(text)-20_000):])
		}
	})
	return d
}

func (d *daemon) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(d.logFile)
	require.NoError(t, err)
	return string(text)
}

func (d *daemon) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, d.command.Process.Signal(signal))
}

// replica is a coordinator beside that of a network, on the same database and the same ledger.
type replica struct {
	*daemon
	rest, grpc string
}

var addresses = regexp.MustCompile(`coordinator is up.* rest=(\S+) grpc=(\S+)`)

func startReplica(t *testing.T, n *network.Network, store string) *replica {
	t.Helper()
	return startCoordinator(t, "--store", store, "--ledger-url", "http://"+n.LedgerRPC,
		"--operator-key", filepath.Join(filepath.Dir(n.LogFile()), "keys", "operator.key"))
}

// startCoordinator starts a coordinator and waits until it takes calls.
func startCoordinator(t *testing.T, args ...string) *replica {
	t.Helper()
	port, err := ports.Row(2) // it may listen on them again, when another took over for a while
	require.NoError(t, err)
	r := &replica{daemon: startDaemon(t, append([]string{
		"coordinator", "--rate-limit", "0",
		"--rest-listen", ports.Loopback(port), "--grpc-listen", ports.Loopback(port + 1), "--metrics-listen", "",
	}, args...)...)}
	eventually(t, "the coordinator to be up", func() bool {
		found := addresses.FindStringSubmatch(r.log(t))
		if found != nil {
			r.rest, r.grpc = found[1], found[2]
		}
		return found != nil
	})
	return r
}

// startMiner starts the network's miner as a process of its own, which tries coordinators in turn.
func startMiner(t *testing.T, n *network.Network, coordinators ...string) *daemon {
	t.Helper()
	return startDaemon(t, "miner", "--key-file", filepath.Join(filepath.Dir(n.LogFile()), "keys", "miner.key"),
		"--coordinators", strings.Join(coordinators, ","), "--ollama-url", enginetest.Start(t).URL(), "--listen", "127.0.0.1:0")
}

// submitAt submits jobs at once, in turn at each of the addresses.
func submitAt(t *testing.T, jobs int, at ...string) []string {
	t.Helper()
	ids := make([]string, jobs)
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() {
			a := callAt(t, "http://"+at[i%len(at)], http.MethodPost, "/v1/jobs", seedJob(), asClient()...)
			if a.Status == http.StatusOK {
				ids[i] = a.text("job_id")
			}
		})
	}
	wait.Wait()
	require.NotContains(t, ids, "", "every job is taken")
	return ids
}

// requireAllOnce checks that all jobs of a network were completed, and each was paid once.
func requireAllOnce(t *testing.T, n *network.Network, ids []string, before aitbc.Amount) {
	t.Helper()
	var spent aitbc.Amount
	for _, id := range ids {
		spent += amount(t, awaitStatus(t, n, id, "completed").text("cost"))
	}
	require.Equal(t, before-spent, balanceOf(t, n, clientAccount(t, n)), "each job was paid once")
	status := ledgerStatus(t, n)
	require.EqualValues(t, len(ids), status.GetReceipts(), "one receipt for each job")
	require.Zero(t, status.GetOpenEscrows())
	requireConserved(t, n)
}

// withReplica starts a network whose miner prefers a second replica on the same database.
func withReplica(t *testing.T) (*network.Network, *replica) {
	t.Helper()
	store := postgrestest.Start(t)
	n := startWithEngine(t, "--miner=false", "--rate-limit", "0", "--store", store)
	r := startReplica(t, n, store)
	startMiner(t, n, r.grpc, n.CoordinatorGRPC)
	eventually(t, "both replicas to know the miner", func() bool {
		return knowsModel(t, r.rest) && knowsModel(t, n.CoordinatorREST)
	})
	return n, r
}

func knowsModel(t *testing.T, rest string) bool {
	t.Helper()
	a := callAt(t, "http://"+rest, http.MethodGet, "/v1/models/tiny", nil, asClient()...)
	return a.Status == http.StatusOK
}

func TestAReplicaIsKilledInTheMiddleOfLoad(t *testing.T) {
	t.Parallel()
	n, r := withReplica(t)
	before := balanceOf(t, n, clientAccount(t, n))
	ids := submitAt(t, 60, r.rest, n.CoordinatorREST)
	eventually(t, "a third to be done", func() bool { return count(t, n, "completed") >= len(ids)/3 })

	r.signal(t, syscall.SIGKILL) // with its miner, its jobs, and whatever else it was doing
	ids = append(ids, submitAt(t, 20, n.CoordinatorREST)...)

	requireAllOnce(t, n, ids, before)
}

func TestAReplicaThatIsPausedAndWakesUpLateIsFenced(t *testing.T) {
	t.Parallel()
	n, r := withReplica(t)
	before := balanceOf(t, n, clientAccount(t, n))
	ids := submitAt(t, 60, r.rest, n.CoordinatorREST)
	eventually(t, "some to be done", func() bool { return count(t, n, "completed") >= len(ids)/6 })

	r.signal(t, syscall.SIGSTOP)
	eventually(t, "the others to go on without it", func() bool { return count(t, n, "completed") == len(ids) })
	r.signal(t, syscall.SIGCONT)

	eventually(t, "it to find out, and to begin anew", func() bool { return strings.Contains(r.log(t), "beginning anew") })
	eventually(t, "it to answer again", func() bool { return answers(t, r.rest) })
	more := submitAt(t, 10, r.rest)
	requireAllOnce(t, n, append(ids, more...), before)
}

func answers(t *testing.T, rest string) bool {
	t.Helper()
	response, err := http.Get("http://" + rest + "/healthz")
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

func TestAnyReplicaAnswersForAnyJob(t *testing.T) {
	t.Parallel()
	n, r := withReplica(t) // the miner is at r
	job := seedJob()
	id := callAt(t, "http://"+n.CoordinatorREST, http.MethodPost, "/v1/jobs", job, append(asClient(), "Idempotency-Key", "once")...).text("job_id")
	require.NotEmpty(t, id)
	again := callAt(t, "http://"+r.rest, http.MethodPost, "/v1/jobs", job, append(asClient(), "Idempotency-Key", "once")...)
	require.Equal(t, id, again.text("job_id"), "a key is known to all")

	for _, rest := range []string{n.CoordinatorREST, r.rest} {
		events := eventsOf(t, rest, id)
		require.Contains(t, events, "event: done", rest)
		require.Contains(t, events, answer, rest)
		whole := callAt(t, "http://"+rest, http.MethodGet, "/v1/jobs/"+id, nil, asClient()...)
		require.Equal(t, "completed", whole.text("status"))
		miners := callAt(t, "http://"+rest, http.MethodGet, "/v1/miners", nil, asClient()...)
		require.Len(t, miners.Body["miners"], 1, rest)
		explained := callAt(t, "http://"+rest, http.MethodGet, "/v1/jobs/"+id+":explain", nil, asClient()...)
		require.Len(t, explained.Body["decisions"], 1, "%s tells what the one that chose remembers: %v", rest, explained.Body)
		miner := callAt(t, "http://"+rest, http.MethodGet, "/v1/miners/"+whole.text("miner_id")+":explain", nil, asClient()...)
		require.Equal(t, http.StatusOK, miner.Status, "%s: %v", rest, miner.Body)
	}

	waiting := seedJob()
	waiting["model_digest"] = strings.Repeat("ab", 32)
	a := callAt(t, "http://"+n.CoordinatorREST, http.MethodPost, "/v1/jobs", waiting, asClient()...)
	require.Equal(t, "MODEL_NOT_FOUND", a.reason(), "no miner anywhere has it")

	// A job that one replica has is cancelled by way of the other.
	held := append(submitAt(t, 30, r.rest), submitAt(t, 1, r.rest)...)
	cancelled := callAt(t, "http://"+n.CoordinatorREST, http.MethodPost, "/v1/jobs/"+held[30]+":cancel", map[string]any{}, asClient()...)
	require.Equal(t, http.StatusOK, cancelled.Status, "%v", cancelled.Body)
	awaitStatus(t, n, held[30], "cancelled")
}

// eventsOf reads a job's events to their end.
func eventsOf(t *testing.T, rest, id string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+rest+"/v1/jobs/"+id+"/events", nil)
	require.NoError(t, err)
	request.Header.Set("X-Api-Key", clientKey)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	var text bytes.Buffer
	_, err = text.ReadFrom(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return text.String()
}
