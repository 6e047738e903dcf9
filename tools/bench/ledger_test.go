package main

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

func TestCPUIsReadBehindAnyName(t *testing.T) {
	t.Parallel()
	used, err := cpuOf("42 (a) b) S 1 42 42 0 -1 4194560 9 0 0 0 150 25 7 8 20 0 11 0 99 1 2\n")
	require.NoError(t, err)
	require.Equal(t, 1_750*time.Millisecond, used)
	_, err = cpuOf("42 (a) S 1 2")
	require.Error(t, err)
}

func TestPeersAreReadFromTheSettings(t *testing.T) {
	t.Parallel()
	peers, err := peersOf("state: \"x\"\npeers: [a@127.0.0.1:1, b@127.0.0.1:2]\n")
	require.NoError(t, err)
	require.Equal(t, "a@127.0.0.1:1,b@127.0.0.1:2", peers)
	_, err = peersOf("state: \"x\"\n")
	require.Error(t, err)
}

func TestAGaugeIsFoundByItsWholeName(t *testing.T) {
	t.Parallel()
	const page = "# HELP n x\nn_more 7\nn{a=\"b\"} 8\nn 1.2e+03\n"
	n, err := gaugeIn(page, "n")
	require.NoError(t, err)
	require.Equal(t, 1_200, n)
	_, err = gaugeIn(page, "m")
	require.Error(t, err)
}

func TestAJobIsComparedWithATransactionOfThePeers(t *testing.T) {
	t.Parallel()
	turns := func(perSecond ...float64) []turn {
		var list []turn
		for _, v := range perSecond {
			list = append(list, turn{perSecond: v, jobsPerSecond: 50 * v, finality: samples{time.Second}, bytes: 300, cpu: time.Millisecond})
		}
		return list
	}
	l := load{jobs: 100, signed: true}
	figures := l.figures(turns(9, 30, 20), turns(800, 500, 100))
	require.Equal(t, figure{
		Part: "ledger", Name: "100 a tx client-signed: settled jobs", Unit: "1/s", Ours: 1_000, Peer: 500, PeerName: kvstoreName,
		Ratio: 2, Runs: 3, Min: 450, Max: 1_500,
	}, figures[1])
	require.InDelta(t, 0.04, figures[0].Ratio, 1e-9)
}

func TestABatchIsEscrowsAndTheirReceipts(t *testing.T) {
	t.Parallel()
	p := testPapers(t)
	for _, signed := range []bool{false, true} {
		w, err := p.batch(3, signed)
		require.NoError(t, err)
		require.Len(t, w, 2)
		escrows, receipts := messages(t, w[0]), messages(t, w[1])
		require.Len(t, escrows, 3)
		require.Empty(t, receipts[2].GetRecordReceipt().GetMiner(), "it is the one before's")
		for i, m := range escrows {
			require.Equal(t, signed, len(m.GetSubmitJob().GetClientSignature()) > 0)
			require.Equal(t, m.GetSubmitJob().GetJobId(), receipts[i].GetRecordReceipt().GetJobId())
		}
	}
}

func TestAJobOfABatchTakesFewBytes(t *testing.T) {
	t.Parallel()
	p := testPapers(t)
	for most, signed := range map[int]bool{300: false, 380: true} {
		w, err := p.batch(100, signed)
		require.NoError(t, err)
		require.Less(t, (len(w[0])+len(w[1]))/100, most)
	}
}

func testPapers(t *testing.T) *papers {
	t.Helper()
	p := &papers{chainID: "aitbc-bench"}
	for _, key := range []*ed25519.PrivateKey{&p.operator, &p.client, &p.miner} {
		var err error
		_, *key, err = ed25519.GenerateKey(nil)
		require.NoError(t, err)
	}
	return p
}

func messages(t *testing.T, raw []byte) []*ledgerv1.Message {
	t.Helper()
	tx, body := &ledgerv1.Tx{}, &ledgerv1.TxBody{}
	require.NoError(t, proto.Unmarshal(raw, tx))
	require.True(t, aitbc.Verify(tx.GetPublicKey(), aitbc.TxSigningBytes(tx.GetBody()), tx.GetSignature()))
	require.NoError(t, proto.Unmarshal(tx.GetBody(), body))
	return body.GetMessages()
}

func TestABenchmarksFiguresAreRead(t *testing.T) {
	t.Parallel()
	b, err := parseBenchmark("goos: linux\nBenchmarkX/keys=1-2 \t 20\t 8.5 escrow-check-ms\t 38 heap-MB\t 12 B/op\nPASS\n")
	require.NoError(t, err)
	require.Equal(t, benchmark{runs: 20, values: map[string]float64{"escrow-check-ms": 8.5, "heap-MB": 38}}, b)
	for _, wrong := range []string{"PASS\n", "BenchmarkX 20 8.5\n", "BenchmarkX x\n"} {
		_, err := parseBenchmark(wrong)
		require.Error(t, err)
	}
}

func TestWhatIsNotTheApplicationsIsConsensus(t *testing.T) {
	t.Parallel()
	const page = "aitbc_ledger_cpu_seconds_total{part=\"check\"} 2\naitbc_ledger_cpu_seconds_total{part=\"commit\"} 0.5\n" +
		"aitbc_ledger_cpu_seconds_total{part=\"execute\"} 1.5\naitbc_ledger_cpu_seconds_total{part=\"signatures\"} 1\n"
	before, err := splitIn(page, 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, split{signatures: time.Second, execution: 3 * time.Second, consensus: 6 * time.Second}, before)
	after := split{signatures: 3 * time.Second, execution: 3 * time.Second, consensus: 7 * time.Second}
	require.Equal(t, split{signatures: time.Second, consensus: 500 * time.Millisecond}, after.since(before, 2))
	_, err = splitIn("", 0)
	require.Error(t, err)
}
