package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aitbc/aitbc/tools/internal/ports"
)

const (
	// portStep is how far apart the ports of two nodes of a test network are.
	portStep = 10
	// lookAtNode is how often a starting node is asked.
	lookAtNode = 20 * time.Millisecond
)

// chain is a network of validators, processes on loopback, that run one application.
type chain struct {
	dir   string
	nodes []*exec.Cmd
	rpc   *chainClient
	// metrics is where the first node shows its figures; empty: nowhere.
	metrics string
}

// application says how the nodes of a chain are started in folders that `aitbcd ledger testnet` made.
type application func(o options, c *chain, firstPort, node int) (*exec.Cmd, error)

// startChain makes a new chain and starts its validators.
func startChain(ctx context.Context, o options, validators int, start application) (_ *chain, err error) {
	c := &chain{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.dir, err = os.MkdirTemp("", "aitbc-bench-"); err != nil {
		return nil, err
	}
	firstPort, err := ports.Row(portStep * validators)
	if err != nil {
		return nil, err
	}
	testnet := exec.CommandContext(ctx, filepath.Join(o.bin, "aitbcd"), "ledger", "testnet", "--dir", filepath.Join(c.dir, "net"),
		"--validators", strconv.Itoa(validators), "--first-port", strconv.Itoa(firstPort))
	if output, err := testnet.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a chain: %w: %s", err, output)
	}
	for i := range validators {
		node, err := start(o, c, firstPort, i)
		if err != nil {
			return nil, err
		}
		node.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		node.Stderr = os.Stderr
		if err := node.Start(); err != nil {
			return nil, fmt.Errorf("start a validator: %w", err)
		}
		c.nodes = append(c.nodes, node)
	}
	c.rpc, err = dialChain(ctx, ports.Loopback(firstPort+1))
	return c, err
}

// ledgerNode starts our ledger.
func ledgerNode(o options, c *chain, firstPort, node int) (*exec.Cmd, error) {
	if node == 0 {
		c.metrics = "http://" + ports.Loopback(firstPort+3) + "/metrics"
	}
	return exec.Command(filepath.Join(o.bin, "aitbcd"), "ledger", "--config", c.settings(node), "--log-level", "warn"), nil
}

// kvstoreNode starts CometBFT's example application with the ledger's node configuration.
func kvstoreNode(o options, c *chain, firstPort, node int) (*exec.Cmd, error) {
	settings, err := os.ReadFile(c.settings(node))
	if err != nil {
		return nil, err
	}
	peers, err := peersOf(string(settings))
	if err != nil {
		return nil, err
	}
	port := firstPort + portStep*node
	return exec.Command(o.kvpeer, "-home", filepath.Join(filepath.Dir(c.settings(node)), "ledger"),
		"-p2p-listen", ports.Loopback(port), "-rpc-listen", ports.Loopback(port+1), "-peers", peers), nil
}

func (c *chain) settings(node int) string {
	return filepath.Join(c.dir, "net", "node"+strconv.Itoa(node), "ledger.yaml")
}

// peersOf reads a node's peers, with commas between, out of its settings.
func peersOf(settings string) (string, error) {
	for line := range strings.Lines(settings) {
		if list, is := strings.CutPrefix(strings.TrimSpace(line), "peers: ["); is {
			return strings.ReplaceAll(strings.TrimSuffix(list, "]"), " ", ""), nil
		}
	}
	return "", errors.New("a node's settings name no peers")
}

// stop ends the chain's processes and forgets it.
func (c *chain) stop() error {
	var faults []error
	if c.rpc != nil {
		faults = append(faults, c.rpc.close())
	}
	for _, node := range c.nodes {
		faults = append(faults, node.Process.Signal(syscall.SIGTERM))
	}
	for _, node := range c.nodes {
		faults = append(faults, node.Wait())
	}
	if c.dir != "" {
		faults = append(faults, os.RemoveAll(c.dir))
	}
	return errors.Join(faults...)
}

// cpu is the processor time that all the chain's processes have used.
func (c *chain) cpu() (time.Duration, error) {
	pids := make([]int, len(c.nodes))
	for i, node := range c.nodes {
		pids[i] = node.Process.Pid
	}
	return cpuTime(pids...)
}
