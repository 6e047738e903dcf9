package app_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/app"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const (
	// blockJobs are in a block, jobsInTx in each of its transactions.
	blockJobs = 1_000
	jobsInTx  = 100
)

// BenchmarkThousandJobs executes blocks of 1,000 escrows and blocks of their 1,000 receipts without
// consensus, on a state that holds so many keys before. Every job has another client. What is reported
// is the processor time, of all threads, of: checking the receipts' 1,000 signatures; checking a block's
// transactions for the mempool, those included; FinalizeBlock, which executes and hashes; Commit. Medians; of
// FinalizeBlock the longest too, which is a block that also forgets the orders of a minute that has passed.
func BenchmarkThousandJobs(b *testing.B) {
	for _, keys := range []int{1_000, 100_000, 1_000_000} {
		b.Run("keys="+strconv.Itoa(keys), func(b *testing.B) { newGrown(b, keys/2).measure(b) })
	}
}

// grownLedger is an application whose state has many clients, each with an allowance.
type grownLedger struct {
	*app.App
	clients int
	height  int64
	jobs    int
}

func newGrown(b *testing.B, clients int) *grownLedger {
	b.Helper()
	states, err := dbm.NewGoLevelDB("state", b.TempDir())
	require.NoError(b, err)
	records, err := history.OpenDatabase("history", b.TempDir())
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, states.Close())
		require.NoError(b, records.Close())
	})
	metrics, err := app.NewMetrics(prometheus.NewRegistry(), time.Now)
	require.NoError(b, err)
	g := &grownLedger{clients: clients}
	g.App, err = app.New(app.Deps{Store: app.NewStore(states), History: history.New(records), Metrics: metrics, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	genesis := ledgertest.Genesis()
	for i := range clients {
		id := g.client(i).String()
		genesis.Accounts = append(genesis.Accounts, state.GenesisAccount{ID: id, Balance: 1_000 * aitbc.UnitsPerCoin})
		genesis.Allowances = append(genesis.Allowances, state.GenesisAllowance{
			Client: id, Operator: ledgertest.ID("operator").String(), Cap: 1_000 * aitbc.UnitsPerCoin,
		})
	}
	appState, err := json.Marshal(genesis)
	require.NoError(b, err)
	_, err = g.InitChain(b.Context(), &abci.RequestInitChain{ChainId: genesis.ChainID, Time: genesis.Time, AppStateBytes: appState})
	require.NoError(b, err)
	return g
}

func (g *grownLedger) client(i int) (id aitbc.AccountID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)+1)
	return id
}

// now is the next block's time.
func (g *grownLedger) now() time.Time {
	return ledgertest.Start().Add(time.Duration(g.height+1) * 6 * time.Second)
}

func (g *grownLedger) sign(b *testing.B, messages []*ledgerv1.Message) [][]byte {
	b.Helper()
	var txs [][]byte
	for part := range slices.Chunk(messages, jobsInTx) {
		txs = append(txs, ledgertest.Tx{Signer: "operator", Expires: g.now().Add(time.Minute), Messages: part}.Sign(b))
	}
	return txs
}

// blockCosts are what the blocks of one kind took.
type blockCosts struct{ check, execute, commit []time.Duration }

// timed notes the processor time of what is done: a busy machine makes it longer by little.
func timed(b *testing.B, took *[]time.Duration, do func()) {
	b.Helper()
	began := cpuTime(b)
	do()
	*took = append(*took, cpuTime(b)-began)
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// block makes a block of the messages.
func (g *grownLedger) block(b *testing.B, c *blockCosts, messages []*ledgerv1.Message) {
	b.Helper()
	txs, now := g.sign(b, messages), g.now()
	g.height++
	timed(b, &c.check, func() {
		for _, tx := range txs {
			answer, err := g.CheckTx(b.Context(), &abci.RequestCheckTx{Tx: tx})
			require.NoError(b, err)
			require.Zero(b, answer.Code, answer.Log)
		}
	})
	timed(b, &c.execute, func() {
		_, err := g.FinalizeBlock(b.Context(), &abci.RequestFinalizeBlock{Height: g.height, Time: now, Txs: txs})
		require.NoError(b, err)
	})
	timed(b, &c.commit, func() {
		_, err := g.Commit(b.Context(), &abci.RequestCommit{})
		require.NoError(b, err)
	})
}

func (g *grownLedger) measure(b *testing.B) {
	var escrows, receipts blockCosts
	var signatures []time.Duration
	for b.Loop() {
		submits, claims := g.work()
		g.block(b, &escrows, submits)
		timed(b, &signatures, func() { verifyAll(b, claims) })
		before := g.State().Receipts()
		g.block(b, &receipts, claims)
		require.Equal(b, before+blockJobs, g.State().Receipts())
	}
	b.ReportMetric(0, "ns/op")
	for name, took := range map[string][]time.Duration{
		"signatures-ms": signatures, "escrow-check-ms": escrows.check, "escrow-execute-ms": escrows.execute, "escrow-commit-ms": escrows.commit,
		"settle-check-ms": receipts.check, "settle-execute-ms": receipts.execute, "settle-commit-ms": receipts.commit,
	} {
		slices.Sort(took)
		b.ReportMetric(ms(took[len(took)/2]), name)
	}
	b.ReportMetric(ms(receipts.execute[len(receipts.execute)-1]), "settle-execute-max-ms")
	reportMemory(b)
	runtime.KeepAlive(g)
}

// work makes the messages of a block's escrows and of their receipts, each job of another client.
func (g *grownLedger) work() (submits, claims []*ledgerv1.Message) {
	order := ledgertest.Order(aitbc.JobID{}, g.now())
	order.ExpiresUS = g.now().Add(20 * time.Second).UnixMicro()
	for range blockJobs {
		g.jobs++
		order.JobID, order.Client = ledgertest.Job(g.jobs), g.client(g.jobs%g.clients)
		submits = append(submits, ledgertest.Message(ledgertest.Submit(order)))
		claims = append(claims, ledgertest.Message(ledgertest.Receipt(ledgertest.Work{
			Order: order, Miner: "miner", Attempt: 1, ComputeUS: 3_000_000, MeteredUS: 3_000_000,
		})))
	}
	return submits, claims
}

// verifyAll checks the receipts' signatures, of other messages than were signed: it costs the same.
func verifyAll(b *testing.B, claims []*ledgerv1.Message) {
	b.Helper()
	key := ledgertest.Public("miner")
	for _, m := range claims {
		require.False(b, aitbc.Verify(key, m.GetRecordReceipt().GetJobId(), m.GetRecordReceipt().GetStatementSignature()))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1_000 }

// reportMemory reports what the process has in memory, and its heap after a collection.
func reportMemory(b *testing.B) {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	for line := range strings.Lines(string(status)) {
		var kilobytes float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kilobytes); err == nil {
			b.ReportMetric(kilobytes/1_000, "rss-MB")
		}
	}
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	b.ReportMetric(float64(stats.HeapAlloc)/1e6, "heap-MB")
}
