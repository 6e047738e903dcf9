package e2e

import (
	"crypto/ed25519"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

// ownMiner is a miner in a process of its own, beside a network without one.
type ownMiner struct {
	t       *testing.T
	state   string
	args    []string
	command *exec.Cmd
	exited  chan error
}

// newOwnMiner makes the miner's key, has the operator send it tokens, and starts nothing.
func newOwnMiner(t *testing.T, n *network.Network, engine string, coordinators string) *ownMiner {
	t.Helper()
	m := &ownMiner{t: t, state: t.TempDir()}
	m.args = []string{
		"--state", m.state, "--coordinators", coordinators, "--ledger", n.LedgerGRPC, "--ollama-url", engine,
	}
	key, err := aitbc.LoadOrCreateKey(filepath.Join(m.state, "keys", "miner.key"))
	require.NoError(t, err)
	account := aitbc.AccountOf(key.Public().(ed25519.PublicKey))
	unwell := m.run(append([]string{"miner", "doctor"}, m.args...)...)
	require.NotZero(t, unwell.Code)
	require.Contains(t, unwell.Stdout, "FAIL  ledger: a stake of 100aitbc is needed")
	require.Contains(t, unwell.Stdout, "do: have 100aitbc sent to "+account.String())
	funded := m.run("coordinator", "keys", "fund", "--state", filepath.Dir(n.LogFile()), "--ledger-url", "http://"+n.LedgerRPC, account.String(), "120aitbc")
	require.Zero(t, funded.Code, funded.Stderr)
	return m
}

func (m *ownMiner) run(args ...string) output {
	m.t.Helper()
	return execute(m.t, nil, filepath.Join(programs, "aitbcd"), args...)
}

// start starts the process and waits until its port answers.
func (m *ownMiner) start() (address string) {
	m.t.Helper()
	log := filepath.Join(m.state, "log")
	require.NoError(m.t, os.RemoveAll(log))
	args := append([]string{"miner", "--listen", "127.0.0.1:0", "--log-dir", log, "--drain-timeout", "20s"}, m.args...)
	m.command = exec.Command(filepath.Join(programs, "aitbcd"), args...)
	m.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(m.t, m.command.Start())
	exited := make(chan error, 1)
	m.exited = exited
	command := m.command
	go func() { exited <- command.Wait() }()
	m.t.Cleanup(func() { _ = command.Process.Kill() })
	eventually(m.t, "the miner's port", func() bool {
		text, _ := os.ReadFile(filepath.Join(log, "miner.log"))
		found := regexp.MustCompile(`msg="miner is up".* addr=(\S+)`).FindSubmatch(text)
		if found != nil {
			address = string(found[1])
		}
		return found != nil
	})
	return address
}

func (m *ownMiner) kill() {
	m.t.Helper()
	require.NoError(m.t, m.command.Process.Kill())
	require.Error(m.t, <-m.exited)
}

// TestANewMachineEarns is a miner's whole life: from nothing to a stake, a job, its pay, and a drain.
func TestANewMachineEarns(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	id := submit(t, n, seedJob())
	m := newOwnMiner(t, n, n.EngineURL(), n.CoordinatorGRPC)
	address := m.start()
	job := awaitStatus(t, n, id, "completed")

	well := m.run(append([]string{"miner", "doctor"}, m.args...)...)
	require.Zero(t, well.Code, well.Stdout)
	require.Contains(t, well.Stdout, "with a stake of 100aitbc")
	var status output
	eventually(t, "the acceptance to arrive", func() bool {
		status = m.run("miner", "status", "--state", m.state, "--miner", address)
		return regexp.MustCompile(`Earned: +` + regexp.QuoteMeta(job.text("cost")) + ` in all`).MatchString(status.Stdout)
	})
	require.Contains(t, status.Stdout, "connected "+n.CoordinatorGRPC)
	require.Contains(t, status.Stdout, id)

	drained := m.run("miner", "drain", "--state", m.state, "--miner", address)
	require.Zero(t, drained.Code, drained.Stderr)
	select {
	case err := <-m.exited:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the miner does not leave")
	}
	requireConserved(t, n)
}

// TestAMinerTakesItsSlotsFromTheBenchmark measures the real engine and then starts a miner that is told
// nothing of slots.
func TestAMinerTakesItsSlotsFromTheBenchmark(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	m := newOwnMiner(t, n, n.EngineURL(), n.CoordinatorGRPC)
	m.args = append(m.args, "--models", "tiny")
	unmeasured := m.run(append([]string{"miner", "doctor"}, m.args...)...)
	require.Contains(t, unmeasured.Stdout, "ok    slots: 1, for these are not measured")

	measured := m.run("miner", "benchmark", "--state", m.state, "--ollama-url", n.EngineURL(), "--model", "tiny", "--most", "4")
	require.Zero(t, measured.Code, measured.Stderr)
	found := regexp.MustCompile(`(\d+) slots for tiny:latest on ollama/`).FindStringSubmatch(measured.Stdout)
	require.NotNil(t, found, measured.Stdout)
	t.Log(measured.Stdout)

	require.Contains(t, m.run(append([]string{"miner", "doctor"}, m.args...)...).Stdout, "ok    slots: "+found[1]+", as measured")
	address := m.start()
	eventually(t, "the slots to be shown", func() bool {
		return strings.Contains(m.run("miner", "status", "--state", m.state, "--miner", address).Stdout, "0 of "+found[1]+" taken")
	})
}

// TestAModelThatTheOwnersReserveLeavesNoRoomForIsNotOffered keeps all of the machine's memory.
func TestAModelThatTheOwnersReserveLeavesNoRoomForIsNotOffered(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t, "--miner=false")
	m := newOwnMiner(t, n, n.EngineURL(), n.CoordinatorGRPC)
	m.args = append(m.args, "--models", "tiny", "--memory-reserve", strconv.FormatInt(1<<60, 10))
	doctor := m.run(append([]string{"miner", "doctor"}, m.args...)...)
	require.Contains(t, doctor.Stdout, "FAIL  memory reserve: tiny:latest is not offered: it needs ")
	address := m.start()
	var status string
	eventually(t, "the session, and the reason", func() bool {
		status = m.run("miner", "status", "--state", m.state, "--miner", address).Stdout
		return strings.Contains(status, "connected "+n.CoordinatorGRPC) && strings.Contains(status, "Withheld:")
	})
	require.NotContains(t, status, "Model:")
	require.Equal(t, "MODEL_NOT_FOUND", call(t, n, http.MethodPost, "/v1/jobs", seedJob(), asClient()...).reason())
	t.Log(status, doctor.Stdout)
}

// cable is a line between a miner and its coordinator that can be cut.
type cable struct {
	listener net.Listener
	target   string

	mu   sync.Mutex
	down bool
	open map[net.Conn]bool
	wait sync.WaitGroup
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{listener: listener, target: target, open: map[net.Conn]bool{}}
	c.wait.Go(c.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		c.cut()
		c.wait.Wait()
	})
	return c
}

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil || !c.admit(near, far) {
			_ = near.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			c.wait.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_, _ = way[0].Close(), way[1].Close()
			})
		}
	}
}

func (c *cable) admit(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		if c.down {
			_ = conn.Close()
			continue
		}
		c.open[conn] = true
	}
	return !c.down
}

// cut ends all connections, and lets no new ones through until mend.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	for conn := range c.open {
		_ = conn.Close()
		delete(c.open, conn)
	}
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

// TestTheNetworkCutInMidAnswerIsAPause cuts the miner's line in mid-answer. The engine goes on, the miner
// comes back by another address, and nothing is run twice.
func TestTheNetworkCutInMidAnswerIsAPause(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL, "--miner=false")
	first, second := newCable(t, n.CoordinatorGRPC), newCable(t, n.CoordinatorGRPC)
	m := newOwnMiner(t, n, engine.URL, first.listener.Addr().String()+","+second.listener.Addr().String())
	m.start()
	v := view(t, n, submit(t, n, seedJob()))
	drops.drip(3)
	v.readUntil(1)

	first.cut()
	before := len(v.text)
	drops.drip(3)
	v.readUntil(before + 1) // over the second
	second.cut()
	drops.drip(3)
	first.mend()
	close(drops.drops)
	v.readToTheEnd()

	require.Zero(t, v.resets)
	require.EqualValues(t, 1, v.done["attempts"])
	require.EqualValues(t, 1, engine.generations.Load(), "nothing was run twice")
	v.requireSigned(n)
	requireConserved(t, n)
}

// TestAFinishedResultIsDeliveredAfterTheMinersDeath has the miner finish while it has no line, and kills
// it: what is on its disk is what is paid.
func TestAFinishedResultIsDeliveredAfterTheMinersDeath(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL, "--miner=false")
	line := newCable(t, n.CoordinatorGRPC)
	m := newOwnMiner(t, n, engine.URL, line.listener.Addr().String())
	m.start()
	v := view(t, n, submit(t, n, seedJob()))
	drops.drip(3)
	v.readUntil(1)

	line.cut()
	close(drops.drops)
	waiting := filepath.Join(m.state, "miner", "spool", "waiting")
	eventually(t, "the result to be on disk", func() bool {
		files, err := filepath.Glob(filepath.Join(waiting, "lease_*"))
		if err != nil || len(files) != 1 {
			return false
		}
		_, _, err = aitbc.ParseLeaseID(filepath.Base(files[0])) // one that is being written has another name
		return err == nil
	})
	m.kill()
	line.mend()
	m.start()
	v.readToTheEnd()

	require.EqualValues(t, 1, engine.generations.Load())
	require.EqualValues(t, 1, v.done["attempts"])
	v.requireSigned(n)
}

// stops tells when an engine's caller has gone.
func stops(engine *faultyEngine, drops *dripping) <-chan time.Time {
	gone := make(chan time.Time, 100)
	engine.set(func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		drops.fault(w, r, real)
		gone <- time.Now()
	})
	return gone
}

// awaitStop gives how long after the client's wish the engine's caller was gone.
func awaitStop(t *testing.T, gone <-chan time.Time, asked time.Time) time.Duration {
	t.Helper()
	select {
	case at := <-gone:
		t.Logf("the engine's caller was gone %s after the client's wish", at.Sub(asked))
		return at.Sub(asked)
	case <-time.After(patience):
		require.Fail(t, "the engine goes on")
		return 0
	}
}

// requirePartPaid requires that a cancelled job has as its result what was said, that its receipt is about
// that, and that what it did not cost was returned.
func requirePartPaid(t *testing.T, n *network.Network, id, said string) {
	t.Helper()
	job := awaitStatus(t, n, id, "cancelled")
	require.Equal(t, said, job.text("result"))
	require.Equal(t, aitbc.ResultHash([]byte(said)).String(), receiptOf(t, n, job).text("result_hash"))
	cost, most := amount(t, job.text("cost")), amount(t, job.text("max_price"))
	require.Positive(t, cost)
	require.Less(t, cost, most)
	refund, ok := job.Body["refund"].(map[string]any)
	require.True(t, ok, "%v", job.Body)
	require.Equal(t, most, cost+amount(t, refund["amount"].(string)))
}

// stopTries is how many cancels the stop is measured by: the quickest counts, for this machine does other
// things too.
const stopTries = 3

// TestACancelStopsTheEngineAndFreesTheSlot cancels in mid-answer: the engine hears of it at once, the
// client pays for what was said, and the next job runs on the slot.
func TestACancelStopsTheEngineAndFreesTheSlot(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	gone := stops(engine, drops)
	n := start(t, engine.URL)
	quickest := time.Hour
	for range stopTries {
		id := submit(t, n, seedJob())
		v := view(t, n, id)
		v.followDrops(drops)
		said := v.text
		asked := time.Now()
		cancelled := call(t, n, http.MethodPost, "/v1/jobs/"+id+":cancel", map[string]any{}, asClient()...)
		require.Equal(t, http.StatusOK, cancelled.Status, "%v", cancelled.Body)
		quickest = min(quickest, awaitStop(t, gone, asked))
		v.readToTheEnd()
		require.Equal(t, said, v.text)
		requirePartPaid(t, n, id, v.text)
	}
	require.Less(t, quickest, stopBound)
	next := submit(t, n, seedJob())
	close(drops.drops)
	awaitStatus(t, n, next, "completed")
	requireConserved(t, n)
}

// TestAWatcherThatLeavesCancelsWhereItAsksForThat: without the wish a job goes on without its watchers.
func TestAWatcherThatLeavesCancelsWhereItAsksForThat(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)

	stays := submit(t, n, seedJob())
	v := view(t, n, stays)
	v.followDrops(drops)
	v.hangUp()
	close(drops.drops)
	awaitStatus(t, n, stays, "completed")

	drops = newDripping()
	gone := stops(engine, drops)

	leaves := submit(t, n, seedJob())
	v = &viewer{t: t, url: "http://" + n.CoordinatorREST + "/v1/jobs/" + leaves + "/events?cancel_on_disconnect=true"}
	v.open()
	v.followDrops(drops)
	asked := time.Now()
	v.hangUp()
	awaitStop(t, gone, asked)
	requirePartPaid(t, n, leaves, v.text)
	requireConserved(t, n)
}
