package e2e

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/tools/internal/ports"
)

// validator is one ledger node of a network of several, as a process.
type validator struct {
	t     *testing.T
	state string
	args  []string

	command                    *exec.Cmd
	rpc                        *rpchttp.HTTP
	node                       ledgerv1.LedgerServiceClient
	rpcAddr, grpcAddr, metrics string
}

// newNetwork makes the folders of some validators, each with ports of its own: those of a node that comes
// back are the ones that it had.
func newNetwork(t *testing.T, count int) (dir string, nodes []*validator) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "net")
	first, err := ports.Row(10 * count)
	require.NoError(t, err)
	runServer(t, "ledger", "testnet", "--dir", dir, "--validators", strconv.Itoa(count), "--first-port", strconv.Itoa(first))
	for i := range count {
		state := filepath.Join(dir, "node"+strconv.Itoa(i))
		nodes = append(nodes, &validator{t: t, state: state, args: []string{"--config", filepath.Join(state, "ledger.yaml")}})
	}
	return dir, nodes
}

// runServer runs a command of aitbcd to its end.
func runServer(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), filepath.Join(programs, "aitbcd"), args...).CombinedOutput()
	require.NoError(t, err, "%s", output)
	return string(output)
}

// start starts the node and waits until it takes calls.
func (v *validator) start() {
	v.t.Helper()
	ready := filepath.Join(v.state, "ready.json")
	require.NoError(v.t, os.RemoveAll(ready))
	log, err := os.OpenFile(filepath.Join(v.state, "process.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(v.t, err)
	args := append([]string{
		"ledger", "--ready-file", ready, "--heartbeat", "500ms", "--snapshot-every", "5",
	}, v.args...)
	v.command = exec.Command(filepath.Join(programs, "aitbcd"), args...)
	v.command.Stdout, v.command.Stderr = log, log
	v.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(v.t, v.command.Start())
	require.NoError(v.t, log.Close())
	v.t.Cleanup(v.kill)
	var addresses map[string]string
	eventually(v.t, "the node of "+v.state+" to take calls", func() bool {
		text, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(text, &addresses) == nil
	})
	v.rpcAddr, v.grpcAddr, v.metrics = addresses["ledger_rpc"], addresses["ledger_grpc"], addresses["ledger_metrics"]
	v.rpc, err = rpchttp.New("http://"+v.rpcAddr, "/websocket")
	require.NoError(v.t, err)
	connection, err := grpc.NewClient(v.grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(v.t, err)
	v.t.Cleanup(func() { require.NoError(v.t, connection.Close()) })
	v.node = ledgerv1.NewLedgerServiceClient(connection)
}

// calls are what a test that waits fills a log with.
var calls = regexp.MustCompile(`(?m)^.* msg=call .*\n`)

func (v *validator) kill() {
	if v.command == nil {
		return
	}
	_ = v.command.Process.Kill() // gone already is as good
	_ = v.command.Wait()         // it was killed: an error is what we want
	v.command = nil
	text, err := os.ReadFile(filepath.Join(v.state, "process.log"))
	require.NoError(v.t, err)
	if bytes.Contains(text, []byte("WARNING: DATA RACE")) {
		v.t.Errorf("a data race in the node of %s", v.state)
	}
	if v.t.Failed() {
		said := calls.ReplaceAll(text, nil)
		v.t.Logf("log of the node of %s, without calls:\n%s", v.state, said[max(0, len(said)-10_000):])
	}
}

func (v *validator) height() int64 {
	status, err := v.node.GetStatus(v.t.Context(), &ledgerv1.GetStatusRequest{})
	if err != nil {
		return 0
	}
	return status.GetHeight()
}

// awaitBlocks waits until the nodes have so many more blocks than the first has now.
func awaitBlocks(t *testing.T, nodes []*validator, more int64) {
	t.Helper()
	want := nodes[0].height() + more
	for _, v := range nodes {
		eventually(t, fmt.Sprintf("block %d on %s", want, v.state), func() bool { return v.height() >= want })
	}
}

// requireOneHash compares the app hash of the last block that all nodes have.
func requireOneHash(t *testing.T, nodes []*validator) {
	t.Helper()
	common := nodes[0].height()
	for _, v := range nodes {
		common = min(common, v.height())
	}
	hashes := map[string]bool{}
	for _, v := range nodes {
		commit, err := v.rpc.Commit(t.Context(), &common)
		require.NoError(t, err)
		hashes[commit.AppHash.String()] = true
	}
	require.Len(t, hashes, 1, "at height %d", common)
}

func (v *validator) healthz() (int, string) {
	answer, err := http.Get("http://" + v.metrics + "/healthz")
	require.NoError(v.t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(v.t, err)
	require.NoError(v.t, answer.Body.Close())
	return answer.StatusCode, string(body)
}

// pay sends tokens from the faucet through a node, and waits for the block.
func pay(t *testing.T, dir string, v *validator, to aitbc.AccountID, amount int64) {
	t.Helper()
	key, err := aitbc.LoadKey(filepath.Join(dir, "keys", "faucet.key"))
	require.NoError(t, err)
	message := &ledgerv1.Message{Message: &ledgerv1.Message_Transfer{Transfer: &ledgerv1.Transfer{To: to[:], AmountUaitbc: amount}}}
	_, err = aitbc.NewWallet(v.node, aitbc.AccountOf(key.Public().(ed25519.PublicKey)), key).Send(t.Context(), message)
	require.NoError(t, err)
}

func TestFourValidatorsGoOnWithThreeAndHaltWithTwo(t *testing.T) {
	t.Parallel()
	dir, nodes := newNetwork(t, 4)
	for _, v := range nodes {
		v.start()
	}
	awaitBlocks(t, nodes, 3)
	pay(t, dir, nodes[0], aitbc.AccountID{1}, 1_000_000)
	requireOneHash(t, nodes)

	nodes[3].kill()
	pay(t, dir, nodes[1], aitbc.AccountID{1}, 1_000_000)
	requireOneHash(t, nodes[:3])
	var code int
	var text string
	eventually(t, "the node to be well without the fourth", func() bool {
		code, text = nodes[0].healthz()
		return code == http.StatusOK
	})

	nodes[2].kill()
	eventually(t, "the halt to show", func() bool {
		code, text = nodes[0].healthz()
		return code == http.StatusServiceUnavailable
	})
	require.Contains(t, text, "the chain stands still")
	halted := nodes[0].height()

	nodes[2].start()
	nodes[3].start()
	awaitBlocks(t, nodes, 2)
	require.Greater(t, nodes[0].height(), halted)
	pay(t, dir, nodes[3], aitbc.AccountID{1}, 1_000_000)
	awaitBlocks(t, nodes, 2)
	requireOneHash(t, nodes)
	for _, v := range nodes {
		account, err := v.node.GetAccount(t.Context(), &ledgerv1.GetAccountRequest{AccountId: aitbc.AccountID{1}.String()})
		require.NoError(t, err)
		require.EqualValues(t, 3_000_000, account.GetAccount().GetBalanceUaitbc())
	}
}

// TestANewNodeJoinsByASnapshotAndBecomesAValidator joins a node to two, then lets one of the old ones go.
func TestANewNodeJoinsByASnapshotAndBecomesAValidator(t *testing.T) {
	t.Parallel()
	dir, nodes := newNetwork(t, 2)
	for _, v := range nodes {
		v.args = append(v.args, "--retain-blocks", "60")
		v.start()
	}
	awaitBlocks(t, nodes, 1)
	pay(t, dir, nodes[0], aitbc.AccountID{1}, 1_000_000)
	// Two snapshots, and the blocks after them that prove them.
	eventually(t, "a snapshot", func() bool { return nodes[0].height() >= 13 })

	trusted := int64(3)
	block, err := nodes[0].rpc.Commit(t.Context(), &trusted)
	require.NoError(t, err)
	joined := &validator{t: t, state: filepath.Join(dir, "joined")}
	require.NoError(t, os.MkdirAll(filepath.Join(joined.state, "ledger", "config"), 0o700))
	genesis, err := os.ReadFile(filepath.Join(nodes[0].state, "ledger", "config", "genesis.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(joined.state, "ledger", "config", "genesis.json"), genesis, 0o600))
	joined.args = []string{
		"--state", joined.state, "--log-dir", joined.state, "--peers", peersOf(t, nodes),
		"--p2p-listen", "127.0.0.1:0", "--rpc-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
		"--join-rpc", "http://" + nodes[0].rpcAddr + ",http://" + nodes[1].rpcAddr,
		"--join-height", strconv.FormatInt(trusted, 10), "--join-hash", block.Commit.BlockID.Hash.String(),
	}
	joined.start()
	all := append([]*validator{joined}, nodes...)
	eventually(t, "the new node to have a state", func() bool { return joined.height() > 0 })
	awaitBlocks(t, all, 3)
	status, err := joined.rpc.Status(t.Context())
	require.NoError(t, err)
	require.Greater(t, status.SyncInfo.EarliestBlockHeight, int64(1), "it began with a snapshot")
	requireOneHash(t, all)

	key, err := json.Marshal(status.ValidatorInfo.PubKey.Bytes())
	require.NoError(t, err)
	runServer(t, "ledger", "validator", string(bytes.Trim(key, `"`)), "10", "--state", dir, "--ledger", nodes[0].grpcAddr)
	eventually(t, "the new validator to sign", func() bool {
		now, err := joined.rpc.Status(t.Context())
		return err == nil && now.ValidatorInfo.VotingPower == 10
	})
	runServer(t, "ledger", "param", "fee_bps", "25", "--state", dir, "--ledger", joined.grpcAddr)
	awaitBlocks(t, all, 3)
	requireOneHash(t, all)
	ledger, err := joined.node.GetStatus(t.Context(), &ledgerv1.GetStatusRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 25, ledger.GetParams().GetFeeBps())

	eventually(t, "old blocks to go", func() bool {
		awaitBlocks(t, nodes, 4)
		old, err := nodes[0].rpc.Status(t.Context())
		return err == nil && old.SyncInfo.EarliestBlockHeight > 1
	})
}

// peersOf names nodes as a new one's peers.
func peersOf(t *testing.T, nodes []*validator) string {
	t.Helper()
	var peers []string
	for _, v := range nodes {
		status, err := v.rpc.Status(t.Context())
		require.NoError(t, err)
		address, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(status.NodeInfo.ListenAddr, "tcp://"))
		require.NoError(t, err)
		peers = append(peers, fmt.Sprintf("%s@%s", status.NodeInfo.ID(), address))
	}
	return peers[0] + "," + peers[1]
}
