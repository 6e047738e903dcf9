package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aitbc/aitbc/services/aitbcd/dev"
	"github.com/aitbc/aitbc/services/ledger"
)

// portStep is how far apart the ports of two nodes of a test network are.
const portStep = 10

// testnet is what `aitbcd ledger testnet` makes.
type testnet struct {
	dir        string
	validators int
	host       string
	firstPort  int
}

func newLedgerTestnet() *cobra.Command {
	t := testnet{validators: 4, host: "127.0.0.1", firstPort: 26_600}
	cmd := &cobra.Command{
		Use:   "testnet",
		Short: "Make a new chain of several validators",
		Long: `Makes a folder with one state folder for each validator of a new chain (node0, node1, ...: keys, genesis, ledger.yaml), and
keys/ with the keys of the first accounts. Each node is run by: aitbcd ledger --config DIR/node0/ledger.yaml. One that is to run on
another machine takes its folder there; its peers' addresses are in ledger.yaml.`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			if err := t.make(); err != nil {
				return err
			}
			for i := range t.validators {
				fmt.Fprintf(cmd.OutOrStdout(), "aitbcd ledger --config %s\n", t.settings(i))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.dir, "dir", "testnet", "folder to make")
	f.IntVar(&t.validators, "validators", t.validators, "how many; four go on when one fails")
	f.StringVar(&t.host, "host", t.host, "address that the nodes listen on")
	f.IntVar(&t.firstPort, "first-port", t.firstPort, "node i listens on this + 10 i and the ports after it: p2p, JSON-RPC, LedgerService, /metrics")
	return cmd
}

func (t testnet) state(i int) string    { return filepath.Join(t.dir, "node"+strconv.Itoa(i)) }
func (t testnet) settings(i int) string { return filepath.Join(t.state(i), "ledger.yaml") }

func (t testnet) address(node, port int) string {
	return net.JoinHostPort(t.host, strconv.Itoa(t.firstPort+portStep*node+port))
}

func (t testnet) make() error {
	if last := t.firstPort + portStep*t.validators; t.validators < 1 || t.validators > 100 || t.firstPort < 1 || last > 65_535 {
		return fmt.Errorf("want 1 to 100 validators and ports up to 65535, not %d on %d to %d", t.validators, t.firstPort, last)
	}
	keys, err := dev.LoadKeys(filepath.Join(t.dir, "keys"))
	if err != nil {
		return err
	}
	genesis, err := keys.Genesis(time.Now())
	if err != nil {
		return err
	}
	homes := make([]string, t.validators)
	for i := range homes {
		homes[i] = filepath.Join(t.state(i), "ledger")
	}
	ids, err := ledger.MakeNetwork(homes, *genesis)
	if err != nil {
		return err
	}
	for i := range homes {
		if err := t.writeSettings(i, ids); err != nil {
			return err
		}
	}
	return nil
}

func (t testnet) writeSettings(i int, ids []string) error {
	var peers []string
	for j, id := range ids {
		if j != i {
			peers = append(peers, id+"@"+t.address(j, 0))
		}
	}
	state, err := filepath.Abs(t.state(i))
	if err != nil {
		return fmt.Errorf("write a node's settings: %w", err)
	}
	lines := []string{
		"state: " + strconv.Quote(state),
		"log-dir: " + strconv.Quote(filepath.Join(state, "log")),
		"p2p-listen: " + t.address(i, 0),
		"rpc-listen: " + t.address(i, 1),
		"grpc-listen: " + t.address(i, 2),
		"metrics-listen: " + t.address(i, 3),
		"peers: [" + strings.Join(peers, ", ") + "]",
	}
	if err := os.WriteFile(t.settings(i), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write a node's settings: %w", err)
	}
	return nil
}
