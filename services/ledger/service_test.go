package ledger_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

const patience = 30 * time.Second

// config is that of a node on free ports that makes blocks often.
func config(home string) ledger.Config {
	cfg := ledger.DefaultConfig()
	cfg.Home = home
	cfg.RPCListen, cfg.P2PListen, cfg.GRPCListen, cfg.MetricsListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Heartbeat = 200 * time.Millisecond
	genesis := ledgertest.Genesis()
	genesis.Time = time.Now()
	cfg.Genesis = &genesis
	return cfg
}

func newService(t testing.TB, cfg ledger.Config) *ledger.Service {
	t.Helper()
	s, err := ledger.New(cfg, ledger.Deps{
		Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	return s
}

// start runs a service until the test ends or stop is called.
func start(t testing.TB, cfg ledger.Config) (s *ledger.Service, stop func()) {
	t.Helper()
	s = newService(t, cfg)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-ended:
		require.NoError(t, err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

// node is a client of a ledger, by JSON-RPC and by gRPC.
type node struct {
	t    testing.TB
	rpc  *rpchttp.HTTP
	grpc ledgerv1.LedgerServiceClient
}

func dial(t testing.TB, rpcAddr, grpcAddr string) *node {
	t.Helper()
	rpc, err := rpchttp.New("http://"+rpcAddr, "/websocket")
	require.NoError(t, err)
	connection, err := grpc.NewClient(grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connection.Close()) })
	return &node{t: t, rpc: rpc, grpc: ledgerv1.NewLedgerServiceClient(connection)}
}

func (n *node) status() *ledgerv1.GetStatusResponse {
	n.t.Helper()
	s, err := n.grpc.GetStatus(n.t.Context(), &ledgerv1.GetStatusRequest{})
	require.NoError(n.t, err)
	return s
}

func (n *node) now() time.Time { return time.UnixMicro(n.status().GetLedgerTimeUs()) }

// query asks over abci_query.
func (n *node) query(method string, req, resp proto.Message) {
	n.t.Helper()
	data, err := proto.Marshal(req)
	require.NoError(n.t, err)
	answer, err := n.rpc.ABCIQuery(n.t.Context(), method, data)
	require.NoError(n.t, err)
	require.Zero(n.t, answer.Response.Code, answer.Response.Log)
	require.NoError(n.t, proto.Unmarshal(answer.Response.Value, resp))
}

// commit broadcasts a transaction over JSON-RPC and waits for its results.
func (n *node) commit(raw []byte) *ledgerv1.GetTransactionResponse {
	n.t.Helper()
	answer, err := n.rpc.BroadcastTxSync(n.t.Context(), raw)
	require.NoError(n.t, err)
	require.Zero(n.t, answer.Code, answer.Log)
	resp := &ledgerv1.GetTransactionResponse{}
	require.Eventually(n.t, func() bool {
		n.query(ledgerv1.LedgerService_GetTransaction_FullMethodName, &ledgerv1.GetTransactionRequest{TxHash: answer.Hash}, resp)
		return resp.GetFound()
	}, patience, time.Millisecond)
	return resp
}

func (n *node) job(job aitbc.JobID) *ledgerv1.GetJobResponse {
	n.t.Helper()
	resp, err := n.grpc.GetJob(n.t.Context(), &ledgerv1.GetJobRequest{
		JobId: job.String(), OperatorId: ledgertest.ID("operator").String(),
	})
	require.NoError(n.t, err)
	return resp
}

func (n *node) balance(name string) int64 {
	n.t.Helper()
	resp, err := n.grpc.GetAccount(n.t.Context(), &ledgerv1.GetAccountRequest{AccountId: ledgertest.ID(name).String()})
	require.NoError(n.t, err)
	return resp.GetAccount().GetBalanceUaitbc()
}

func operatorTx(t testing.TB, now time.Time, messages ...any) []byte {
	t.Helper()
	tx := ledgertest.Tx{Signer: "operator", Expires: now.Add(5 * time.Minute)}
	for _, m := range messages {
		tx.Messages = append(tx.Messages, ledgertest.Message(m))
	}
	return tx.Sign(t)
}

func TestAJobIsEscrowedAndPaidOnARealChain(t *testing.T) {
	t.Parallel()
	s, _ := start(t, config(t.TempDir()))
	n := dial(t, s.RPCAddr().String(), s.GRPCAddr().String())
	now := n.now()
	order := ledgertest.Order(ledgertest.Job(1), now)
	submit := operatorTx(t, now, ledgertest.Submit(order))

	escrowed := n.commit(submit)
	require.Len(t, escrowed.GetResults(), 1)
	require.Zero(t, escrowed.GetResults()[0].GetCode())
	open := n.job(order.JobID)
	require.Equal(t, int64(order.MaxPrice), open.GetEscrow().GetAmountUaitbc())
	require.Len(t, open.GetEscrow().GetTxHash(), 32)
	require.NotZero(t, open.GetLedgerTimeUs())

	work := ledgertest.Work{Order: order, Miner: "miner", Attempt: 1, ComputeUS: 12_500_000, MeteredUS: 12_500_000}
	paid := n.commit(operatorTx(t, now, ledgertest.Receipt(work)))
	require.Zero(t, paid.GetResults()[0].GetCode())
	settlement := n.job(order.JobID).GetSettlement()
	require.Equal(t, ledgerv1.Settlement_OUTCOME_PAID, settlement.GetOutcome())
	require.Equal(t, int64(250_000), settlement.GetPaidUaitbc())
	require.Equal(t, paid.GetHeight(), settlement.GetHeight())
	require.Equal(t, open.GetEscrow().GetTxHash(), settlement.GetEscrowTxHash())
	require.Equal(t, int64(250_000), n.balance("miner"))
	require.Equal(t, int64(999_750_000), n.balance("client"))

	refused, err := n.grpc.BroadcastTransaction(t.Context(), &ledgerv1.BroadcastTransactionRequest{Tx: unwrap(t, operatorTx(t, now.Add(time.Second), ledgertest.Submit(order)))})
	require.NoError(t, err)
	require.Equal(t, ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_JOB, refused.GetCode())

	_, err = n.grpc.GetMiner(t.Context(), &ledgerv1.GetMinerRequest{MinerId: ledgertest.ID("client").String()})
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = n.grpc.GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{TxHash: []byte("short")})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	missing, err := n.rpc.ABCIQuery(t.Context(), ledgerv1.LedgerService_GetAccount_FullMethodName, mustMarshal(t, &ledgerv1.GetAccountRequest{AccountId: ledgertest.ID("nobody").String()}))
	require.NoError(t, err)
	require.Equal(t, uint32(codes.NotFound), missing.Response.Code)
	require.NotEmpty(t, missing.Response.Log)
}

func TestARestartedNodeGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	s, stop := start(t, cfg)
	n := dial(t, s.RPCAddr().String(), s.GRPCAddr().String())
	now := n.now()
	order := ledgertest.Order(ledgertest.Job(1), now)
	n.commit(operatorTx(t, now, ledgertest.Submit(order)))
	before := n.status()
	stop()

	cfg.Genesis = nil
	s, _ = start(t, cfg)
	n = dial(t, s.RPCAddr().String(), s.GRPCAddr().String())
	after := n.status()
	require.Equal(t, before.GetAppHash(), after.GetAppHash())
	require.Equal(t, before.GetSupply().GetEscrowedUaitbc(), after.GetSupply().GetEscrowedUaitbc())
	require.GreaterOrEqual(t, after.GetHeight(), before.GetHeight())
	require.Eventually(t, func() bool { return n.status().GetHeight() > after.GetHeight() }, patience, 10*time.Millisecond)
}

func TestHeartbeatsMoveTheClockAndNothingElse(t *testing.T) {
	t.Parallel()
	s, _ := start(t, config(t.TempDir()))
	n := dial(t, s.RPCAddr().String(), s.GRPCAddr().String())
	first := n.status()
	var later *ledgerv1.GetStatusResponse
	require.Eventually(t, func() bool {
		later = n.status()
		return later.GetHeight() >= first.GetHeight()+3
	}, patience, 10*time.Millisecond)
	require.Greater(t, later.GetLedgerTimeUs(), first.GetLedgerTimeUs())
	require.Equal(t, first.GetAppHash(), later.GetAppHash())
}

func TestATakenPortIsNamed(t *testing.T) {
	t.Parallel()
	s, _ := start(t, config(t.TempDir()))
	taken := s.GRPCAddr().String()
	for name, set := range map[string]func(*ledger.Config){
		ledger.FlagRPCListen:     func(c *ledger.Config) { c.RPCListen = taken },
		ledger.FlagGRPCListen:    func(c *ledger.Config) { c.GRPCListen = taken },
		ledger.FlagP2PListen:     func(c *ledger.Config) { c.P2PListen = taken },
		ledger.FlagMetricsListen: func(c *ledger.Config) { c.MetricsListen = taken },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t.TempDir())
			set(&cfg)
			err := newService(t, cfg).Run(t.Context())
			require.ErrorContains(t, err, taken)
			require.ErrorContains(t, err, "--"+name)
		})
	}
}

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	require.NoError(t, err)
	return raw
}

func unwrap(t testing.TB, raw []byte) *ledgerv1.Tx {
	t.Helper()
	tx := &ledgerv1.Tx{}
	require.NoError(t, proto.Unmarshal(raw, tx))
	return tx
}
