package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aitbc/aitbc/tools/internal/fakeengine"
	"github.com/aitbc/aitbc/tools/internal/ports"
)

// The processes of a network, and with replicas a second one of two of them.
const (
	coordinatorName = "coordinator"
	minerName       = "miner"
	ledgerName      = "ledger"
	second          = "-2"
)

const (
	startPatience = 60 * time.Second
	look          = 20 * time.Millisecond
)

// setting is what kind of network is made.
type setting struct {
	program, state string
	// bug is the fault to plant; empty: none.
	bug string
	// store is where the coordinator keeps jobs; empty: in SQLite, in the folder.
	store string
	// replicas: there are two coordinators on one store, and two miners that know both.
	replicas bool
}

// world is a network of processes, a fake engine, and proxies between the parts.
type world struct {
	setting
	engine *httptest.Server
	// names are the processes in the order of their start.
	names     []string
	processes map[string]*process
	// cuts are the connections that can be cut, lines their names: each coordinator's own line to the
	// ledger has its name, the miners' line to it the miner's.
	cuts  map[string]*proxy
	lines []string

	// rests are the coordinators' REST addresses; calls take turns.
	rests []string
	turn  atomic.Int64
	rpc   string
	key   string
}

// process is one of the network's processes; it is started again on the same state and ports.
type process struct {
	name    string
	args    []string
	crash   string // the file that names the crash point
	env     []string
	log     string
	health  string // answers when it takes calls; empty: nobody waits for that
	command *exec.Cmd
	exited  chan struct{}
}

// newWorld makes a network and starts it.
func newWorld(ctx context.Context, s setting) (_ *world, err error) {
	w := &world{setting: s, processes: map[string]*process{}, cuts: map[string]*proxy{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.engine = httptest.NewServer(&fakeengine.Engine{Delay: 5 * time.Millisecond})
	if output, err := exec.CommandContext(ctx, w.program, "ledger", "init", "--state", w.state).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a chain: %w\n%s", err, output)
	}
	if err := w.layOut(); err != nil {
		return nil, err
	}
	for _, name := range w.names {
		if err := w.start(ctx, name); err != nil {
			return nil, err
		}
	}
	create := exec.CommandContext(ctx, w.program, "coordinator", "keys", "create", "--name", "chaos", "--fund", "900aitbc",
		"--state", w.state, "--store", w.store, "--ledger-url", "http://"+w.rpc, "--output", "json")
	output, err := create.Output()
	if err != nil {
		return nil, fmt.Errorf("make a client: %w\n%s", err, output)
	}
	if w.key, err = fieldOf(output, "key"); err != nil {
		return nil, err
	}
	return w, w.awaitMiners(ctx, startPatience, w.rests...)
}

// layOut chooses ports and makes the processes' command lines.
func (w *world) layOut() error {
	first, err := ports.Row(3)
	if err != nil {
		return err
	}
	w.rpc = ports.Loopback(first)
	ledgerGRPC := ports.Loopback(first + 2)
	ledger := w.add(ledgerName, "", "--rpc-listen", w.rpc, "--p2p-listen", ports.Loopback(first+1), "--grpc-listen", ledgerGRPC, "--metrics-listen", "")
	ledger.health = "http://" + w.rpc + "/status"
	coordinators, err := w.addCoordinator("")
	if err != nil {
		return err
	}
	if !w.replicas {
		return w.addMiner("", coordinators, "--key-file", filepath.Join(w.state, "keys", "miner.key"))
	}
	other, err := w.addCoordinator(second)
	if err != nil {
		return err
	}
	// The second miner has an account of the genesis with tokens, and registers by itself.
	return errors.Join(
		w.addMiner("", coordinators+","+other, "--key-file", filepath.Join(w.state, "keys", "miner.key")),
		w.addMiner(second, other+","+coordinators, "--key-file", filepath.Join(w.state, "keys", "client.key"), "--ledger", ledgerGRPC),
	)
}

// addCoordinator lays out a coordinator and its lines, and gives the address at which miners find it.
func (w *world) addCoordinator(suffix string) (grpc string, err error) {
	first, err := ports.Row(2)
	if err != nil {
		return "", err
	}
	rest, own := ports.Loopback(first), ports.Loopback(first+1)
	fromMiners, err := w.line(minerName+suffix, own)
	if err != nil {
		return "", err
	}
	toLedger, err := w.line(coordinatorName+suffix, w.rpc)
	if err != nil {
		return "", err
	}
	store := w.store
	args := []string{"--rest-listen", rest, "--grpc-listen", own, "--metrics-listen", "", "--ledger-url", "http://" + toLedger, "--rate-limit", "0"}
	if w.replicas {
		fromOthers, err := w.line("replicas"+suffix, own)
		if err != nil {
			return "", err
		}
		if store, err = w.lineToStore("store" + suffix); err != nil {
			return "", err
		}
		args = append(args, "--advertise", fromOthers, "--operator-key", filepath.Join(w.state, "keys", "operator.key"))
	}
	p := w.add(coordinatorName, suffix, append(args, "--store", store)...)
	p.health = "http://" + rest + "/healthz"
	w.rests = append(w.rests, rest)
	return fromMiners, nil
}

func (w *world) addMiner(suffix, coordinators string, more ...string) error {
	first, err := ports.Row(1)
	w.add(minerName, suffix, append(more, "--listen", ports.Loopback(first), "--coordinators", coordinators, "--ollama-url", w.engine.URL, "--slots", "8")...)
	return err
}

// line makes a connection that can be cut, and gives its near end.
func (w *world) line(name, target string) (address string, err error) {
	p, err := newProxy(target)
	if err != nil {
		return "", err
	}
	w.cuts[name] = p
	w.lines = append(w.lines, name)
	return p.address(), nil
}

// lineToStore makes a line to the Postgres, which is reached by a socket in a folder.
func (w *world) lineToStore(name string) (string, error) {
	at, err := url.Parse(w.store)
	if err != nil {
		return "", fmt.Errorf("read the store's address: %w", err)
	}
	query := at.Query()
	address, err := w.line(name, filepath.Join(query.Get("host"), ".s.PGSQL."+query.Get("port")))
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(address)
	query.Set("host", host)
	query.Set("port", port)
	at.RawQuery = query.Encode()
	return at.String(), err
}

// add lays out a process. The second of a kind has a state folder of its own.
func (w *world) add(kind, suffix string, flags ...string) *process {
	name := kind + suffix
	state := filepath.Join(w.state, strings.TrimPrefix(suffix, "-"))
	crash := filepath.Join(w.state, name+".crash")
	p := &process{
		name: name, args: append([]string{kind, "--state", state, "--log-dir", filepath.Join(state, "log")}, flags...),
		crash: crash, log: filepath.Join(w.state, name+".out"),
		env: append(os.Environ(), "AITBC_CRASH_FILE="+crash, "AITBC_BUG="+w.bug),
	}
	w.names, w.processes[name] = append(w.names, name), p
	return p
}

// start starts a process and waits until it takes calls, or has crashed where it was told to.
func (w *world) start(ctx context.Context, name string) error {
	p := w.processes[name]
	if err := p.launch(w.program); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for p.health != "" && !answers(ctx, p.health) { // a miner connects when it can
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended while it started, see %s", name, p.log)
		case <-ctx.Done():
			quit := p.signal(syscall.SIGQUIT) // it says where it hangs
			return errors.Join(fmt.Errorf("%s does not start, see %s: %w", name, p.log, ctx.Err()), quit)
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

// awaitMiners waits until each of these coordinators has met all miners.
func (w *world) awaitMiners(ctx context.Context, patience time.Duration, rests ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	want := strings.Count(strings.Join(w.names, " "), minerName)
	for _, rest := range rests {
		for {
			body, err := w.callAt(ctx, rest, http.MethodGet, "/v1/miners", nil, "")
			if err == nil && strings.Count(string(body), `"status":"connected"`) == want && strings.Count(string(body), `"name":"`+fakeengine.Model) == want {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("not all miners have connected: %w", errors.Join(ctx.Err(), err))
			case <-time.After(look):
			}
		}
	}
	return nil
}

// close ends everything.
func (w *world) close() {
	for _, name := range slices.Backward(w.names) {
		w.processes[name].kill()
	}
	for _, p := range w.cuts {
		p.close()
	}
	if w.engine != nil {
		w.engine.CloseClientConnections()
		w.engine.Close()
	}
}
