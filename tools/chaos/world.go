package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aitbc/aitbc/tools/internal/fakeengine"
	"github.com/aitbc/aitbc/tools/internal/ports"
)

// The processes of a network.
const (
	coordinatorName = "coordinator"
	minerName       = "miner"
	ledgerName      = "ledger"
)

var names = []string{ledgerName, coordinatorName, minerName}

const (
	startPatience = 60 * time.Second
	look          = 20 * time.Millisecond
)

// world is a network of three processes, a fake engine, and proxies between the parts.
type world struct {
	program, state string
	bug            string
	// store is where the coordinator keeps jobs; empty: in SQLite, in the folder.
	store     string
	engine    *httptest.Server
	processes map[string]*process
	// cuts are the connections that can be cut: miner to coordinator, coordinator to ledger.
	cuts map[string]*proxy

	rest, grpc, rpc string
	key             string
}

// process is one of the network's processes; it is started again on the same state and ports.
type process struct {
	name    string
	args    []string
	crash   string // the file that names the crash point
	env     []string
	log     string
	command *exec.Cmd
	exited  chan struct{}
}

// newWorld makes a network in the folder and starts it, with a fault planted unless bug is empty.
func newWorld(ctx context.Context, program, state, bug, store string) (_ *world, err error) {
	w := &world{program: program, state: state, bug: bug, store: store, processes: map[string]*process{}, cuts: map[string]*proxy{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.engine = httptest.NewServer(&fakeengine.Engine{Delay: 5 * time.Millisecond})
	if output, err := exec.CommandContext(ctx, program, "ledger", "init", "--state", state).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a chain: %w\n%s", err, output)
	}
	if err := w.layOut(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := w.start(ctx, name); err != nil {
			return nil, err
		}
	}
	create := exec.CommandContext(ctx, program, "coordinator", "keys", "create", "--name", "chaos", "--fund", "900aitbc",
		"--state", state, "--store", store, "--ledger-url", "http://"+w.rpc, "--output", "json")
	output, err := create.Output()
	if err != nil {
		return nil, fmt.Errorf("make a client: %w\n%s", err, output)
	}
	if w.key, err = fieldOf(output, "key"); err != nil {
		return nil, err
	}
	return w, w.awaitMiner(ctx)
}

// layOut chooses ports and makes the processes' command lines.
func (w *world) layOut() error {
	first, err := ports.Row(6)
	if err != nil {
		return err
	}
	at := func(i int) string { return ports.Loopback(first + i) }
	rpc, p2p, ledgerGRPC, rest, grpc, minerPort := at(0), at(1), at(2), at(3), at(4), at(5)
	w.rest, w.grpc, w.rpc = rest, grpc, rpc
	for name, target := range map[string]string{minerName: grpc, coordinatorName: rpc} {
		if w.cuts[name], err = newProxy(target); err != nil {
			return err
		}
	}
	common := []string{"--state", w.state, "--log-dir", filepath.Join(w.state, "log")}
	w.processes[ledgerName] = w.process(ledgerName, append(common, "--rpc-listen", rpc, "--p2p-listen", p2p, "--grpc-listen", ledgerGRPC, "--metrics-listen", ""))
	w.processes[coordinatorName] = w.process(coordinatorName, append(common, "--rest-listen", rest, "--grpc-listen", grpc, "--metrics-listen", "",
		"--ledger-url", "http://"+w.cuts[coordinatorName].address(), "--rate-limit", "0", "--store", w.store))
	w.processes[minerName] = w.process(minerName, append(common, "--listen", minerPort, "--coordinators", w.cuts[minerName].address(),
		"--ollama-url", w.engine.URL, "--slots", "8", "--key-file", filepath.Join(w.state, "keys", "miner.key")))
	return nil
}

func (w *world) process(name string, flags []string) *process {
	crash := filepath.Join(w.state, name+".crash")
	return &process{
		name: name, args: append([]string{name}, flags...), crash: crash, log: filepath.Join(w.state, name+".out"),
		env: append(os.Environ(), "AITBC_CRASH_FILE="+crash, "AITBC_BUG="+w.bug),
	}
}

// start starts a process and waits until it takes calls, or has crashed where it was told to.
func (w *world) start(ctx context.Context, name string) error {
	p := w.processes[name]
	if err := p.launch(w.program); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for !w.up(ctx, name) {
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended while it started, see %s", name, p.log)
		case <-ctx.Done():
			return fmt.Errorf("%s does not start, see %s: %w", name, p.log, ctx.Err())
		case <-time.After(look):
		}
	}
	return nil
}

func (p *process) launch(program string) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer log.Close() // the process has its own
	p.command = exec.Command(program, p.args...)
	p.command.Env, p.command.Stdout, p.command.Stderr = p.env, log, log
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.exited = make(chan struct{})
	go func(command *exec.Cmd, exited chan struct{}) {
		_ = command.Wait() // killed, mostly
		close(exited)
	}(p.command, p.exited)
	return nil
}

// up reports whether a process takes calls.
func (w *world) up(ctx context.Context, name string) bool {
	switch name {
	case ledgerName:
		return answers(ctx, "http://"+w.rpc+"/status")
	case coordinatorName:
		return answers(ctx, "http://"+w.rest+"/healthz")
	default:
		return true // it connects when it can
	}
}

func answers(ctx context.Context, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

// kill ends a process without any goodbye and waits until it is gone.
func (p *process) kill() {
	if p.command == nil {
		return
	}
	_ = p.command.Process.Kill() // an error means that it is gone already
	<-p.exited
}

// signal sends a signal to a process that lives.
func (p *process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// arm has a process crash when it passes the point.
func (p *process) arm(point string) error {
	half := p.crash + ".half"
	if err := os.WriteFile(half, []byte(point), 0o600); err != nil {
		return fmt.Errorf("arm %s: %w", point, err)
	}
	if err := os.Rename(half, p.crash); err != nil {
		return fmt.Errorf("arm %s: %w", point, err)
	}
	return nil
}

// disarm takes the crash point back; true: the process had not passed it.
func (p *process) disarm() bool { return os.Remove(p.crash) == nil }

// awaitMiner waits until the coordinator has met the miner.
func (w *world) awaitMiner(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		body, err := w.call(ctx, http.MethodGet, "/v1/miners", nil, "")
		if err == nil && strings.Contains(string(body), `"status":"connected"`) && strings.Contains(string(body), fakeengine.Model) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no miner has connected: %w", errors.Join(ctx.Err(), err))
		case <-time.After(look):
		}
	}
}

// close ends everything.
func (w *world) close() {
	for _, name := range []string{minerName, coordinatorName, ledgerName} {
		if p := w.processes[name]; p != nil {
			p.kill()
		}
	}
	for _, p := range w.cuts {
		if p != nil {
			p.close()
		}
	}
	if w.engine != nil {
		w.engine.CloseClientConnections()
		w.engine.Close()
	}
}
