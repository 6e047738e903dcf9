package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

// apart is a network, a miner in a process of its own behind a cable, and an engine that drips.
type apart struct {
	n     *network.Network
	line  *cable
	miner *ownMiner
	owner string // the miner's own port
	*faultyEngine
	*dripping
}

func startApart(t *testing.T) *apart {
	t.Helper()
	a := &apart{faultyEngine: newFaultyEngine(t), dripping: newDripping()}
	a.set(a.dripping.fault)
	a.n = start(t, a.URL, "--miner=false")
	a.line = newCable(t, a.n.CoordinatorGRPC)
	a.miner = newOwnMiner(t, a.n, a.URL, a.line.listener.Addr().String())
	a.owner = a.miner.start()
	return a
}

// restart kills everything but the miner and its engine, and starts it again.
func (a *apart) restart(t *testing.T) {
	t.Helper()
	a.n.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, a.n.Restart(ctx))
}

// TestTheCoordinatorKilledInMidAnswerIsAPause kills the coordinator beside a miner that lives: the engine
// goes on, and the watcher sees a pause.
func TestTheCoordinatorKilledInMidAnswerIsAPause(t *testing.T) {
	t.Parallel()
	a := startApart(t)
	v := view(t, a.n, submit(t, a.n, seedJob()))
	v.followDrops(a.dripping)

	a.restart(t)
	for v.next() { // what was on its way
	}
	v.hangUp()
	v.open()
	close(a.drops)
	v.readToTheEnd()

	require.Zero(t, v.resets)
	require.EqualValues(t, 1, v.done["attempts"])
	require.EqualValues(t, 1, a.generations.Load(), "nothing was run twice")
	v.requireSigned(a.n)
	requireConserved(t, a.n)
}

// TestAMinerKilledInMidAnswerIsAnotherAttempt has the job begin anew on a second miner, once the first has
// been away for too long; who watches is told.
func TestAMinerKilledInMidAnswerIsAnotherAttempt(t *testing.T) {
	t.Parallel()
	a := startApart(t)
	v := view(t, a.n, submit(t, a.n, seedJob()))
	v.followDrops(a.dripping)

	second := newOwnMiner(t, a.n, a.URL, a.n.CoordinatorGRPC)
	second.start()
	a.miner.kill()
	close(a.drops)
	v.readToTheEnd()

	require.Equal(t, 1, v.resets)
	require.EqualValues(t, 2, v.done["attempts"])
	require.EqualValues(t, 2, a.generations.Load())
	v.requireSigned(a.n)
	requireConserved(t, a.n)
}

// TestAStreamSurvivesTheNetworkCutTwiceAndTheCoordinatorKilled watches by the command line, as a person
// does. docs/recordings/streaming.txt is a run of it.
func TestAStreamSurvivesTheNetworkCutTwiceAndTheCoordinatorKilled(t *testing.T) {
	t.Parallel()
	a := startApart(t)
	id := submit(t, a.n, seedJob())
	r := newRecording(t, "streaming", "TestAStreamSurvives")
	watch := r.begin(a.n, "watch", id)
	say := func(what string) {
		t.Helper()
		before := r.length()
		a.drip(1)
		eventually(t, "a piece "+what, func() bool { return r.length() > before })
	}
	say("at the start")
	say("at the start")
	for range 2 {
		r.note("the miner's line is cut")
		a.line.cut()
		a.drip(1) // the engine goes on
		a.line.mend()
		r.note("the line is mended")
		say("behind the cut")
	}
	r.note("the coordinator is killed, and the ledger with it")
	a.n.Kill()
	a.drip(1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, a.n.Restart(ctx))
	r.note("both are back")
	say("behind the kill")
	close(a.drops)
	require.NoError(t, watch.Wait(), r.text)
	r.note("aitbc watch has ended")

	job := awaitStatus(t, a.n, id, "completed")
	require.Equal(t, job.text("result"), line(r.stdout(), "Result: "))
	hash := aitbc.ResultHash([]byte(line(r.stdout(), "Result: "))).String()
	require.Equal(t, hash, receiptOf(t, a.n, job).text("result_hash"))
	require.EqualValues(t, 1, a.generations.Load(), "nothing was run twice")
	r.note("SHA-256 of the text that was watched: " + hash)
	r.note("result_hash of the receipt:           " + receiptOf(t, a.n, job).text("result_hash"))
	r.save()
	requireConserved(t, a.n)
}

// TestRecordACancelWithItsBill records what docs/recordings/cancel.txt shows.
func TestRecordACancelWithItsBill(t *testing.T) {
	t.Parallel()
	a := startApart(t)
	id := submit(t, a.n, seedJob())
	r := newRecording(t, "cancel", "TestRecordACancel")
	watch := r.begin(a.n, "watch", id)
	for range 3 {
		before := r.length()
		a.drip(1)
		eventually(t, "a piece", func() bool { return r.length() > before })
	}
	r.run(a.n, "cancel", id)
	require.Error(t, watch.Wait(), "it says that the job was cancelled")
	job := awaitStatus(t, a.n, id, "cancelled")
	require.Positive(t, amount(t, job.text("cost")))
	r.run(a.n, "status", id)
	receipt := call(t, a.n, http.MethodGet, "/v1/receipts/"+job.text("receipt_id"), nil, asClient()...)
	require.Equal(t, http.StatusOK, receipt.Status)
	r.note(fmt.Sprintf("the receipt: amount_paid %s, result_hash %s", receipt.text("amount_paid"), receipt.text("result_hash")))
	r.save()
	requireConserved(t, a.n)
}

// TestRecordTheOwnersSide records what docs/recordings/miner.txt shows.
func TestRecordTheOwnersSide(t *testing.T) {
	t.Parallel()
	a := &apart{faultyEngine: newFaultyEngine(t), dripping: newDripping()}
	a.n = start(t, a.URL, "--miner=false")
	m := newOwnMiner(t, a.n, a.URL, a.n.CoordinatorGRPC)
	r := newRecording(t, "miner", "TestRecordTheOwnersSide")
	aitbcd := func(args ...string) {
		t.Helper()
		out := m.run(args...)
		r.line("$", "aitbcd "+strings.Join(args[:2], " ")+" ...")
		for text := range strings.Lines(strings.ReplaceAll(out.Stdout, m.state, "STATE")) {
			r.line("|", strings.TrimSuffix(text, "\n"))
		}
	}
	doctor := append([]string{"miner", "doctor"}, m.args...)
	r.note("before the first start: there is no stake yet")
	aitbcd(doctor...)
	r.note("and with no engine, nor a coordinator, at the addresses given")
	aitbcd(append(doctor, "--ollama-url", "http://127.0.0.1:1", "--coordinators", "127.0.0.1:1")...)
	owner := m.start()
	awaitStatus(t, a.n, submit(t, a.n, seedJob()), "completed")
	r.note("while it runs")
	aitbcd(doctor...)

	a.set(a.dripping.fault)
	working := submit(t, a.n, seedJob())
	a.drip(2)
	waiting := submit(t, a.n, seedJob()) // the one slot is taken
	eventually(t, "the miner to be told why", func() bool {
		return strings.Contains(m.run("miner", "status", "--state", m.state, "--miner", owner).Stdout, "1 jobs for tiny:latest")
	})
	r.note("one job runs, another waits")
	aitbcd("miner", "status", "--state", m.state, "--miner", owner)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	top := exec.CommandContext(ctx, filepath.Join(programs, "aitbcd"), "miner", "top", "--state", m.state, "--miner", owner)
	top.Cancel = func() error { return top.Process.Signal(os.Interrupt) }
	r.line("$", "aitbcd miner top ...")
	screens, err := top.Output()
	require.ErrorIs(t, err, context.DeadlineExceeded, "it was interrupted")
	require.True(t, top.ProcessState.Success(), "and ended well")
	all := strings.Split(string(screens), "\x1b[H\x1b[2J")
	require.Greater(t, len(all), 1)
	for text := range strings.Lines(all[len(all)-1]) {
		r.line("|", strings.TrimSuffix(text, "\n"))
	}
	close(a.drops)
	awaitStatus(t, a.n, working, "completed")
	awaitStatus(t, a.n, waiting, "completed")
	r.save()
	requireConserved(t, a.n)
}

// recording is what happened in a terminal, and when. Tests save it when AITBC_UPDATE_DOCS is set.
type recording struct {
	t          *testing.T
	name, made string
	began      time.Time

	mu   sync.Mutex
	text strings.Builder
	out  bytes.Buffer // of the command that was begun
}

func newRecording(t *testing.T, name, test string) *recording {
	return &recording{t: t, name: name, made: test, began: time.Now()}
}

func (r *recording) line(mark, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.text, "%7.3f s %s %s\n", time.Since(r.began).Seconds(), mark, text)
}

func (r *recording) note(text string) { r.line("#", text) }

// Write takes what the command that was begun prints.
func (r *recording) Write(b []byte) (int, error) {
	for piece := range strings.Lines(string(b)) {
		r.line("|", strings.TrimSuffix(piece, "\n"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(b)
}

func (r *recording) stdout() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

func (r *recording) length() int { return len(r.stdout()) }

func (r *recording) command(n *network.Network, args ...string) *exec.Cmd {
	r.line("$", "aitbc "+strings.Join(args, " "))
	command := exec.CommandContext(r.t.Context(), filepath.Join(programs, "aitbc"), args...)
	command.Env = append(os.Environ(), "AITBC_URL=http://"+n.CoordinatorREST, "AITBC_API_KEY="+clientKey)
	return command
}

// begin starts the command line beside what follows.
func (r *recording) begin(n *network.Network, args ...string) *exec.Cmd {
	r.t.Helper()
	command := r.command(n, args...)
	command.Stdout = r
	require.NoError(r.t, command.Start())
	return command
}

// run runs the command line.
func (r *recording) run(n *network.Network, args ...string) {
	r.t.Helper()
	out, err := r.command(n, args...).CombinedOutput()
	for text := range strings.Lines(string(out)) {
		r.line("|", strings.TrimSuffix(text, "\n"))
	}
	if err != nil {
		require.ErrorAs(r.t, err, new(*exec.ExitError))
	}
}

func (r *recording) save() {
	r.t.Helper()
	r.t.Logf("\n%s", r.text.String())
	if os.Getenv("AITBC_UPDATE_DOCS") == "" {
		return
	}
	head := "Recorded by AITBC_UPDATE_DOCS=1 go test ./tools/e2e -run " + r.made + "\n" +
		"$ a command, | what it prints, as it comes, # what the test does\n\n"
	path := filepath.Join("..", "..", "docs", "recordings", r.name+".txt")
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, []byte(head+r.text.String()), 0o644))
}
