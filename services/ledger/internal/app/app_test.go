package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/app"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

// disk is what of a node outlives its process.
type disk struct{ dir string }

// ledger is an application on a disk.
type ledger struct {
	*app.App
	t        testing.TB
	states   dbm.DB
	records  dbm.DB
	registry *prometheus.Registry
	log      *strings.Builder
}

func (d disk) open(t *testing.T) *ledger {
	t.Helper()
	return d.openWith(t, d)
}

// openWith takes the history from another disk.
func (d disk) openWith(t *testing.T, past disk) *ledger {
	t.Helper()
	states, err := dbm.NewGoLevelDB("state", d.dir)
	require.NoError(t, err)
	records, err := history.OpenDatabase("history", past.dir)
	require.NoError(t, err)
	return openOn(t, states, records)
}

func openOn(t testing.TB, states, records dbm.DB) *ledger {
	t.Helper()
	l := &ledger{t: t, states: states, records: records, registry: prometheus.NewRegistry(), log: &strings.Builder{}}
	metrics, err := app.NewMetrics(l.registry, time.Now)
	require.NoError(t, err)
	l.App, err = app.New(app.Deps{
		Store: app.NewStore(l.states), History: history.New(l.records), Metrics: metrics,
		Logger: slog.New(slog.NewTextHandler(io.MultiWriter(l.log), nil)), SnapshotEvery: 1, RetainBlocks: 2,
	})
	require.NoError(t, err)
	return l
}

func (l *ledger) close() {
	l.t.Helper()
	require.NoError(l.t, l.states.Close())
	require.NoError(l.t, l.records.Close())
}

func (l *ledger) genesis() {
	l.t.Helper()
	g := ledgertest.Genesis()
	_, err := l.InitChain(l.t.Context(), &abci.RequestInitChain{ChainId: g.ChainID, Time: g.Time, AppStateBytes: genesisDocument(l.t)})
	require.NoError(l.t, err)
}

func genesisDocument(t testing.TB) []byte {
	t.Helper()
	appState, err := json.Marshal(ledgertest.Genesis())
	require.NoError(t, err)
	return appState
}

// blockTime is that of the block at a height: one a second.
func blockTime(height int64) time.Time {
	return ledgertest.Start().Add(time.Duration(height) * time.Second)
}

func (l *ledger) execute(height int64, txs ...[]byte) *abci.ResponseFinalizeBlock {
	l.t.Helper()
	resp, err := l.FinalizeBlock(l.t.Context(), &abci.RequestFinalizeBlock{Height: height, Time: blockTime(height), Txs: txs})
	require.NoError(l.t, err)
	return resp
}

func (l *ledger) commit() {
	l.t.Helper()
	_, err := l.Commit(l.t.Context(), &abci.RequestCommit{})
	require.NoError(l.t, err)
}

func (l *ledger) height() int64 {
	l.t.Helper()
	info, err := l.Info(l.t.Context(), &abci.RequestInfo{})
	require.NoError(l.t, err)
	return info.LastBlockHeight
}

func query[Resp proto.Message](l *ledger, method string, req proto.Message, into Resp) Resp {
	l.t.Helper()
	data, err := proto.Marshal(req)
	require.NoError(l.t, err)
	resp, err := l.Query(l.t.Context(), &abci.RequestQuery{Path: method, Data: data})
	require.NoError(l.t, err)
	require.Zero(l.t, resp.Code, resp.Log)
	require.NoError(l.t, proto.Unmarshal(resp.Value, into))
	return into
}

func (l *ledger) job(o aitbc.Order) *ledgerv1.GetJobResponse {
	l.t.Helper()
	return query(l, ledgerv1.LedgerService_GetJob_FullMethodName,
		&ledgerv1.GetJobRequest{JobId: o.JobID.String(), OperatorId: o.Operator.String()}, &ledgerv1.GetJobResponse{})
}

func operatorTx(t testing.TB, height int64, messages ...any) []byte {
	t.Helper()
	tx := ledgertest.Tx{Signer: "operator", Expires: blockTime(height).Add(time.Minute)}
	for _, m := range messages {
		tx.Messages = append(tx.Messages, ledgertest.Message(m))
	}
	return tx.Sign(t)
}

// story is the blocks of two jobs: one is paid, one refunded. The blocks are at heights 1 to 6.
func story(t testing.TB) (blocks [][][]byte, paid, refunded aitbc.Order) {
	t.Helper()
	paid, refunded = ledgertest.Order(ledgertest.Job(1), blockTime(1)), ledgertest.Order(ledgertest.Job(2), blockTime(1))
	receipt := ledgertest.Receipt(ledgertest.Work{Order: paid, Miner: "miner", Attempt: 1, ComputeUS: 5_000_000, MeteredUS: 5_000_000})
	return [][][]byte{
		{operatorTx(t, 1, ledgertest.Submit(paid), ledgertest.Submit(refunded))},
		{operatorTx(t, 2, &ledgerv1.RefundJob{JobId: refunded.JobID[:]})},
		{operatorTx(t, 3, receipt)},
		{}, // the refund becomes final
		{operatorTx(t, 5, receipt), operatorTx(t, 5, ledgertest.Submit(paid))},
		{},
	}, paid, refunded
}

// The mempool checks a transaction's signatures together. That one of them is forged must neither keep the
// others out nor let it in.
func TestAForgedReceiptAmongManyIsTheOnlyOneRefused(t *testing.T) {
	t.Parallel()
	const jobs, forged = 12, 7
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	var escrows, receipts []any
	want := make([]ledgerv1.ResultCode, jobs)
	for n := range jobs {
		o := ledgertest.Order(ledgertest.Job(n), blockTime(1))
		escrows = append(escrows, ledgertest.Submit(o))
		r := ledgertest.Receipt(ledgertest.Work{Order: o, Miner: "miner", Attempt: 1, ComputeUS: 5, MeteredUS: 5})
		if n == forged {
			r.StatementSignature[40]++
			want[n] = ledgerv1.ResultCode_RESULT_CODE_BAD_STATEMENT
		}
		receipts = append(receipts, r)
	}
	codes := func(data []byte) (list []ledgerv1.ResultCode) {
		answer := &ledgerv1.GetTransactionResponse{}
		require.NoError(t, proto.Unmarshal(data, answer))
		for _, r := range answer.GetResults() {
			list = append(list, r.GetCode())
		}
		return list
	}
	check := func(raw []byte) *abci.ResponseCheckTx {
		answer, err := l.CheckTx(t.Context(), &abci.RequestCheckTx{Tx: raw})
		require.NoError(t, err)
		return answer
	}
	l.execute(1, operatorTx(t, 1, escrows...))
	l.commit()
	raw := operatorTx(t, 2, receipts...)
	require.Equal(t, want, codes(check(raw).Data))
	require.Equal(t, uint32(ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_TX), check(raw).Code, "it waits, once")
	require.Equal(t, want, codes(l.execute(2, raw).TxResults[0].Data))
}

func TestAStoryIsToldByQueries(t *testing.T) {
	t.Parallel()
	blocks, paid, refunded := story(t)
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	for i, txs := range blocks {
		l.execute(int64(i+1), txs...)
		l.commit()
	}
	require.Equal(t, int64(6), l.height())

	job := l.job(paid)
	require.Nil(t, job.GetEscrow())
	require.Equal(t, ledgerv1.Settlement_OUTCOME_PAID, job.GetSettlement().GetOutcome())
	require.Equal(t, int64(100_000), job.GetSettlement().GetPaidUaitbc())
	require.Equal(t, int64(3), job.GetSettlement().GetHeight())
	require.Equal(t, blockTime(3).UnixMicro(), job.GetSettlement().GetBlockTimeUs())
	require.Equal(t, uint64(0), job.GetSettlement().GetReceipt().GetLogIndex())
	require.Equal(t, blockTime(6).UnixMicro(), job.GetLedgerTimeUs())

	job = l.job(refunded)
	require.Equal(t, ledgerv1.Settlement_OUTCOME_REFUNDED, job.GetSettlement().GetOutcome())
	require.Equal(t, int64(4), job.GetSettlement().GetHeight())
	asked := hash(blocks[1][0])
	require.Equal(t, asked[:], job.GetSettlement().GetTxHash())
	made := hash(blocks[0][0])
	require.Equal(t, made[:], job.GetSettlement().GetEscrowTxHash())

	require.Contains(t, l.log.String(), "job_ids=\"["+paid.JobID.String())
	require.Contains(t, l.log.String(), "code=NOT_OPEN")
	require.NoError(t, testutil.GatherAndCompare(l.registry, strings.NewReader(`
# HELP aitbc_ledger_transactions_total Committed transactions by code; one of which no message was applied counts by its first.
# TYPE aitbc_ledger_transactions_total counter
aitbc_ledger_transactions_total{code="DUPLICATE_JOB"} 1
aitbc_ledger_transactions_total{code="NOT_OPEN"} 1
aitbc_ledger_transactions_total{code="OK"} 3
# HELP aitbc_ledger_height Height of the last block.
# TYPE aitbc_ledger_height gauge
aitbc_ledger_height 6
`), "aitbc_ledger_transactions_total", "aitbc_ledger_height"))
}

func hash(raw []byte) aitbc.Hash { return aitbc.ResultHash(raw) }

// TestAKillAtAnyPointHeals cuts a chain off at every block: before Commit, and within it, between
// history and state. What was told by queries afterwards must be what a chain that was never cut
// off tells.
func TestAKillAtAnyPointHeals(t *testing.T) {
	t.Parallel()
	blocks, paid, refunded := story(t)
	whole := disk{t.TempDir()}.open(t)
	defer whole.close()
	whole.genesis()
	var hashes [][]byte
	for i, txs := range blocks {
		hashes = append(hashes, whole.execute(int64(i+1), txs...).AppHash)
		whole.commit()
	}
	for _, within := range []bool{false, true} {
		for cut := range blocks {
			d := disk{t.TempDir()}
			l := d.open(t)
			l.genesis()
			for i := range cut {
				l.execute(int64(i+1), blocks[i]...)
				l.commit()
			}
			l.execute(int64(cut+1), blocks[cut]...)
			if within {
				require.NoError(t, l.states.Close())
				_, err := l.Commit(t.Context(), &abci.RequestCommit{})
				require.Error(t, err, "the state can not be written")
				require.Error(t, <-l.Halted())
				require.NoError(t, l.records.Close())
			} else {
				l.close()
			}
			l = d.open(t)
			require.Equal(t, int64(cut), l.height())
			if cut == 0 {
				l.genesis()
			}
			for i := cut; i < len(blocks); i++ {
				require.Equal(t, hashes[i], l.execute(int64(i+1), blocks[i]...).AppHash)
				l.commit()
			}
			same(t, whole, l, blocks, paid, refunded)
			l.close()
		}
	}
}

func same(t *testing.T, want, got *ledger, blocks [][][]byte, orders ...aitbc.Order) {
	t.Helper()
	for _, o := range orders {
		require.True(t, proto.Equal(want.job(o), got.job(o)))
	}
	require.True(t, proto.Equal(want.proof(orders[0], 0), got.proof(orders[0], 0)))
	for _, txs := range blocks {
		for _, raw := range txs {
			h := hash(raw)
			req := &ledgerv1.GetTransactionRequest{TxHash: h[:]}
			w := query(want, ledgerv1.LedgerService_GetTransaction_FullMethodName, req, &ledgerv1.GetTransactionResponse{})
			g := query(got, ledgerv1.LedgerService_GetTransaction_FullMethodName, req, &ledgerv1.GetTransactionResponse{})
			require.True(t, w.GetFound())
			require.True(t, proto.Equal(w, g), "%v\n%v", w, g)
		}
	}
}

func TestARepeatDoesNotHideWhatWasApplied(t *testing.T) {
	t.Parallel()
	blocks, _, _ := story(t)
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	for height := range int64(3) {
		l.execute(height+1, blocks[0]...)
		l.commit()
	}
	h := hash(blocks[0][0])
	record := query(l, ledgerv1.LedgerService_GetTransaction_FullMethodName,
		&ledgerv1.GetTransactionRequest{TxHash: h[:]}, &ledgerv1.GetTransactionResponse{})
	require.Equal(t, int64(1), record.GetHeight())
	require.Zero(t, record.GetResults()[0].GetCode())
	require.Zero(t, record.GetResults()[1].GetCode())
}

func TestARefusalDoesNotHideThatTheSameBytesWereAppliedLater(t *testing.T) {
	t.Parallel()
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	var txs [][]byte
	for sequence := range uint64(2) {
		tx := ledgertest.Tx{
			Signer: "operator2", Expires: blockTime(60), Sequence: sequence + 1,
			Messages: []*ledgerv1.Message{ledgertest.Message(&ledgerv1.RegisterOperator{Name: "x"})},
		}
		txs = append(txs, tx.Sign(t))
	}
	for i, n := range []int{1, 0, 1, 1} { // the second comes too early, then in turn, then once more
		l.execute(int64(i+1), txs[n])
		l.commit()
	}
	h := hash(txs[1])
	record := query(l, ledgerv1.LedgerService_GetTransaction_FullMethodName,
		&ledgerv1.GetTransactionRequest{TxHash: h[:]}, &ledgerv1.GetTransactionResponse{})
	require.Equal(t, int64(3), record.GetHeight())
	require.Zero(t, record.GetCode())
	require.Len(t, record.GetResults(), 1)
}

func TestTheMempoolTakesWhatApplies(t *testing.T) {
	t.Parallel()
	blocks, paid, _ := story(t)
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	check := func(raw []byte, kind abci.CheckTxType) *abci.ResponseCheckTx {
		resp, err := l.CheckTx(t.Context(), &abci.RequestCheckTx{Tx: raw, Type: kind})
		require.NoError(t, err)
		return resp
	}
	submit := blocks[0][0]
	require.Zero(t, check(submit, abci.CheckTxType_New).Code)
	again := operatorTx(t, 2, ledgertest.Submit(paid))
	require.Equal(t, uint32(ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_JOB), check(again, abci.CheckTxType_New).Code, "it builds on what waits")
	receipt := blocks[2][0]
	require.Zero(t, check(receipt, abci.CheckTxType_New).Code)

	l.execute(1, submit)
	l.commit()
	require.Zero(t, check(receipt, abci.CheckTxType_Recheck).Code)
	for _, kind := range []abci.CheckTxType{abci.CheckTxType_Recheck, abci.CheckTxType_New} {
		require.Equal(t, uint32(ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_TX), check(submit, kind).Code, "it is in a block")
	}
	forged := append([]byte(nil), blocks[1][0]...)
	forged[len(forged)-1]++
	require.Equal(t, uint32(ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE), check(forged, abci.CheckTxType_New).Code)
	code := check([]byte("rubbish"), abci.CheckTxType_New)
	require.Equal(t, uint32(ledgerv1.ResultCode_RESULT_CODE_MALFORMED), code.Code)
	require.NotEmpty(t, code.Log)
}

// A transaction that was taken may hold a refused message, whose signature is forged, beside an
// applied one. Were a recheck to take that signature for right, honest messages would be refused.
func TestARecheckBelievesNoForgedSignature(t *testing.T) {
	t.Parallel()
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	forged := ledgertest.Order(ledgertest.Job(7), blockTime(1))
	forged.MaxPrice = 1_000 * aitbc.UnitsPerCoin // all that the client has
	theft := ledgertest.Submit(forged)
	theft.ClientSignature = bytes.Repeat([]byte{1}, 64)
	tx := ledgertest.Tx{Signer: "operator2", Expires: blockTime(60), Sequence: 1, Messages: []*ledgerv1.Message{
		ledgertest.Message(&ledgerv1.RegisterOperator{Name: "x"}), ledgertest.Message(theft),
	}}
	raw := tx.Sign(t)
	check := func(raw []byte, kind abci.CheckTxType) *abci.ResponseCheckTx {
		resp, err := l.CheckTx(t.Context(), &abci.RequestCheckTx{Tx: raw, Type: kind})
		require.NoError(t, err)
		return resp
	}
	l.execute(1)
	l.commit()
	require.Zero(t, check(raw, abci.CheckTxType_New).Code)
	l.execute(2)
	l.commit()
	require.Zero(t, check(raw, abci.CheckTxType_Recheck).Code)
	honest := operatorTx(t, 2, ledgertest.Submit(ledgertest.Order(ledgertest.Job(1), blockTime(2))))
	resp := check(honest, abci.CheckTxType_New)
	require.Zero(t, resp.Code, "%s: %s", ledgerv1.ResultCode(resp.Code), resp.Log)
}

func TestAForgedTransactionThatAProposerLetsInIsRefused(t *testing.T) {
	t.Parallel()
	blocks, _, _ := story(t)
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	forged := append([]byte(nil), blocks[0][0]...)
	forged[len(forged)-1]++
	resp := l.execute(1, forged)
	require.Equal(t, uint32(ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE), resp.TxResults[0].Code)
}

func TestBadQueriesAreAnswered(t *testing.T) {
	t.Parallel()
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	ask := func(path string, data []byte) codes.Code {
		resp, err := l.Query(t.Context(), &abci.RequestQuery{Path: path, Data: data})
		require.NoError(t, err)
		return codes.Code(resp.Code)
	}
	require.Equal(t, codes.Unavailable, ask(ledgerv1.LedgerService_GetStatus_FullMethodName, nil), "before genesis")
	l.genesis()
	require.Equal(t, codes.OK, ask(ledgerv1.LedgerService_GetStatus_FullMethodName, nil))
	require.Equal(t, codes.Unimplemented, ask("/nothing", nil))
	require.Equal(t, codes.Unimplemented, ask(ledgerv1.LedgerService_BroadcastTransaction_FullMethodName, nil))
	require.Equal(t, codes.InvalidArgument, ask(ledgerv1.LedgerService_GetJob_FullMethodName, []byte{0xff}))
	require.Equal(t, codes.InvalidArgument, ask(ledgerv1.LedgerService_GetJob_FullMethodName, nil))
	require.Equal(t, codes.InvalidArgument, ask(ledgerv1.LedgerService_GetTransaction_FullMethodName, nil))
	require.Equal(t, codes.InvalidArgument, ask(ledgerv1.LedgerService_GetAccount_FullMethodName, nil))
}

func TestPagesOfMiners(t *testing.T) {
	t.Parallel()
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	page := func(token string) *ledgerv1.ListMinersResponse {
		return query(l, ledgerv1.LedgerService_ListMiners_FullMethodName,
			&ledgerv1.ListMinersRequest{PageSize: 1, PageToken: token}, &ledgerv1.ListMinersResponse{})
	}
	first := page("")
	require.Len(t, first.GetMiners(), 1)
	second := page(first.GetNextPageToken())
	require.Len(t, second.GetMiners(), 1)
	require.Empty(t, second.GetNextPageToken())
	require.NotEmpty(t, second.GetMiners()[0].GetPublicKey())
	require.NotEqual(t, first.GetMiners()[0].GetMinerId(), second.GetMiners()[0].GetMinerId())
}

func TestABlockOutOfOrderHaltsTheChain(t *testing.T) {
	t.Parallel()
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	l.execute(1)
	l.commit()
	_, err := l.FinalizeBlock(t.Context(), &abci.RequestFinalizeBlock{Height: 5, Time: blockTime(5)})
	require.ErrorContains(t, err, "want height 2")
	require.ErrorContains(t, <-l.Halted(), "want height 2")
}
