package ledger_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

// homeVariable makes this test binary a ledger with that home, so that it can be killed.
const homeVariable = "AITBC_TEST_LEDGER_HOME"

func TestMain(m *testing.M) {
	home := os.Getenv(homeVariable)
	if home == "" {
		os.Exit(m.Run())
	}
	if err := serve(home); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(home string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := ledger.New(config(home), ledger.Deps{
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		return err
	}
	go func() {
		<-s.Ready()
		fmt.Fprintln(os.Stdout, "ready", s.RPCAddr(), s.GRPCAddr())
	}()
	return s.Run(ctx)
}

// process is a ledger that can be killed.
type process struct {
	*node
	command *exec.Cmd
}

func spawn(t *testing.T, home string) *process {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), homeVariable+"="+home)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	words := strings.Fields(line)
	require.Len(t, words, 3)
	require.Equal(t, "ready", words[0])
	return &process{node: dial(t, words[1], words[2]), command: command}
}

func (p *process) kill() {
	p.t.Helper()
	require.NoError(p.t, p.command.Process.Kill())
	require.Error(p.t, p.command.Wait())
}

// settleAll sends, again and again, what each job lacks, until all are settled or the node has made
// so many blocks.
func (p *process) settleAll(orders []aitbc.Order, blocks int64) (settled int) {
	p.t.Helper()
	begin := p.status().GetHeight()
	for {
		settled = 0
		now := p.now()
		for _, o := range orders {
			job := p.job(o.JobID)
			switch {
			case job.GetSettlement() != nil:
				settled++
			case job.GetEscrow() != nil:
				p.send(operatorTx(p.t, now, ledgertest.Receipt(ledgertest.Work{
					Order: o, Miner: "miner", Attempt: 1, ComputeUS: 2_000_000, MeteredUS: 1_000_000,
				})))
			default:
				p.send(operatorTx(p.t, now, ledgertest.Submit(o)))
			}
		}
		if settled == len(orders) || p.status().GetHeight() >= begin+blocks {
			return settled
		}
	}
}

// send does not care for the answer: a repeat is refused, and what counts is what the chain says.
func (p *process) send(raw []byte) {
	p.t.Helper()
	_, _ = p.rpc.BroadcastTxSync(p.t.Context(), raw)
}

func TestAKilledNodeLosesAndPaysNothingTwice(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	const jobs = 40
	p := spawn(t, home)
	var orders []aitbc.Order
	for i := range jobs {
		orders = append(orders, ledgertest.Order(ledgertest.Job(i+1), p.now()))
	}
	for range 3 {
		p.settleAll(orders, 4)
		p.kill()
		p = spawn(t, home)
	}
	deadline := time.Now().Add(patience)
	for p.settleAll(orders, 1_000) < jobs {
		require.True(t, time.Now().Before(deadline), "jobs are left unsettled")
	}
	require.Equal(t, int64(jobs*20_000), p.balance("miner"))
	require.Equal(t, int64(1_000_000_000-jobs*20_000), p.balance("client"))
	end := p.status()
	require.Equal(t, int64(jobs), end.GetReceipts())
	require.Zero(t, end.GetOpenEscrows())
	supply := end.GetSupply()
	require.Equal(t, supply.GetTotalUaitbc(), supply.GetBalancesUaitbc()+supply.GetStakedUaitbc())
	allowance, err := p.grpc.GetAllowance(t.Context(), &ledgerv1.GetAllowanceRequest{
		ClientId: ledgertest.ID("client").String(), OperatorId: ledgertest.ID("operator").String(),
	})
	require.NoError(t, err)
	require.Equal(t, int64(1_000_000_000-jobs*20_000), allowance.GetAllowance().GetRemainingUaitbc())
	p.kill()
}
