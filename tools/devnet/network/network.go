// Package network starts whole networks as real processes (`aitbcd dev`), for `make run`, the
// end-to-end tests and the benchmarks. A Network is one process; it can be killed and started
// again on the same state, on the same addresses. Start with Start.
package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aitbc/aitbc/tools/internal/ports"
)

// Addresses are where a network listens, as `aitbcd dev` writes them to its ready file.
type Addresses struct {
	CoordinatorREST    string `json:"coordinator_rest"`
	CoordinatorGRPC    string `json:"coordinator_grpc"`
	CoordinatorMetrics string `json:"coordinator_metrics"`
	Miner              string `json:"miner"`
	LedgerRPC          string `json:"ledger_rpc"`
	LedgerGRPC         string `json:"ledger_grpc"`
}

// Options say what to start.
type Options struct {
	// Program is the path of aitbcd.
	Program string
	// State is the state folder; it outlives the process.
	State string
	// EngineURL is where Ollama is.
	EngineURL string
	// FixedPorts uses the documented ports instead of free ones.
	FixedPorts bool
	// Args are added to the command line.
	Args []string
	// Output takes the process's standard error; nil: it is kept in <State>/process.log.
	Output io.Writer
}

// stopGrace is how long a network may take to stop by itself.
const stopGrace = 30 * time.Second

// Network is a running `aitbcd dev`.
type Network struct {
	Addresses

	options Options
	listen  Addresses // what it is told to listen on; none: the documented ports
	command *exec.Cmd
	logFrom int64         // where this run's output begins in the log file
	exited  chan struct{} // closed when the process is gone

	mu      sync.Mutex
	exitErr error
}

// Start starts a network and waits until it is ready. Errors: the process ended first (with the
// end of its output), or ctx did.
func Start(ctx context.Context, o Options) (*Network, error) {
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return nil, fmt.Errorf("start network: %w", err)
	}
	n := &Network{options: o}
	if !o.FixedPorts { // the same after a restart, and nobody else's meanwhile
		first, err := ports.Row(6)
		if err != nil {
			return nil, fmt.Errorf("start network: %w", err)
		}
		at := func(i int) string { return ports.Loopback(first + i) }
		n.listen = Addresses{
			CoordinatorREST: at(0), CoordinatorGRPC: at(1), CoordinatorMetrics: at(2), Miner: at(3), LedgerRPC: at(4), LedgerGRPC: at(5),
		}
	}
	if err := n.launch(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// EngineURL is where the engine of the network is.
func (n *Network) EngineURL() string { return n.options.EngineURL }

// Restart starts the network again after Stop or Kill, on the same state and addresses.
func (n *Network) Restart(ctx context.Context) error { return n.launch(ctx) }

func (n *Network) launch(ctx context.Context) error {
	ready := filepath.Join(n.options.State, "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start network: %w", err)
	}
	args := []string{"dev", "--state", n.options.State, "--ready-file", ready, "--ollama-url", n.options.EngineURL}
	args = append(args, n.addressFlags()...)
	n.command = exec.Command(n.options.Program, append(args, n.options.Args...)...)
	n.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	output, err := n.output()
	if err != nil {
		return err
	}
	n.command.Stderr, n.command.Stdout = output, output
	if err := n.command.Start(); err != nil {
		return fmt.Errorf("start network: %w", err)
	}
	n.exited = make(chan struct{})
	go n.wait(n.command, n.exited)
	if err := n.awaitReady(ctx, ready); err != nil {
		n.Kill()
		return fmt.Errorf("start network: %w", err)
	}
	return nil
}

// addressFlags asks for the network's ports.
func (n *Network) addressFlags() []string {
	if n.options.FixedPorts {
		return nil
	}
	return []string{
		"--rest-listen", n.listen.CoordinatorREST, "--grpc-listen", n.listen.CoordinatorGRPC, "--metrics-listen", n.listen.CoordinatorMetrics,
		"--miner-listen", n.listen.Miner, "--ledger-rpc-listen", n.listen.LedgerRPC, "--ledger-grpc-listen", n.listen.LedgerGRPC,
		"--ledger-p2p-listen", "127.0.0.1:0", "--ledger-metrics-listen", "127.0.0.1:0",
	}
}

func (n *Network) output() (io.Writer, error) {
	if n.options.Output != nil {
		return n.options.Output, nil
	}
	file, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start network: %w", err)
	}
	if n.logFrom, err = file.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(fmt.Errorf("start network: %w", err), file.Close())
	}
	return file, nil
}

// LogFile is where the process's output is kept when Options.Output is nil.
func (n *Network) LogFile() string { return filepath.Join(n.options.State, "process.log") }

func (n *Network) wait(command *exec.Cmd, exited chan<- struct{}) {
	err := command.Wait()
	if file, ok := command.Stderr.(*os.File); ok && n.options.Output == nil {
		err = errors.Join(err, file.Close())
	}
	n.mu.Lock()
	n.exitErr = err
	n.mu.Unlock()
	close(exited)
}

func (n *Network) awaitReady(ctx context.Context, path string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			return json.Unmarshal(text, &n.Addresses)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-tick.C:
		case <-n.exited:
			return fmt.Errorf("aitbcd ended: %w\n%s", n.ExitErr(), n.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w\n%s", ctx.Err(), n.lastWords())
		}
	}
}

// lastWords are the last lines that this run of the process printed.
func (n *Network) lastWords() string {
	const most = 5
	text, err := os.ReadFile(n.LogFile())
	if err != nil || int64(len(text)) < n.logFrom {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text[n.logFrom:])), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// PID is the process's id.
func (n *Network) PID() int { return n.command.Process.Pid }

// Exited is closed when the process has ended.
func (n *Network) Exited() <-chan struct{} { return n.exited }

// ExitErr is how the process ended; nil before and after a clean end.
func (n *Network) ExitErr() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.exitErr
}

// Stop ends the network with SIGTERM and waits for it. Errors: it ended badly or not in time.
func (n *Network) Stop() error {
	if err := n.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop network: %w", err)
	}
	select {
	case <-n.exited:
		return n.ExitErr()
	case <-time.After(stopGrace):
		n.Kill()
		return fmt.Errorf("stop network: still running after %s", stopGrace)
	}
}

// Kill ends the network with SIGKILL and waits until it is gone.
func (n *Network) Kill() {
	// An error means that it is gone already, which is what we want.
	_ = n.command.Process.Kill()
	<-n.exited
}
