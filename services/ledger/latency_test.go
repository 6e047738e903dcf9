package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

// BenchmarkLoneTransaction measures one transaction at a time, from broadcast to the event of its
// block.
func BenchmarkLoneTransaction(b *testing.B) {
	s, _ := start(b, config(b.TempDir()))
	n := dial(b, s.RPCAddr().String(), s.GRPCAddr().String())
	client := s.Client()
	blocks, err := client.Subscribe(b.Context(), "benchmark", types.EventQueryNewBlock.String(), 100)
	require.NoError(b, err)
	var took []time.Duration
	job := 0
	for b.Loop() {
		job++
		b.StopTimer()
		now := n.now()
		raw := operatorTx(b, now, ledgertest.Submit(ledgertest.Order(ledgertest.Job(job), now)))
		b.StartTimer()
		begin := time.Now()
		answer, err := client.BroadcastTxSync(b.Context(), raw)
		require.NoError(b, err)
		require.Zero(b, answer.Code, answer.Log)
		for committed := false; !committed; {
			event := <-blocks
			data, ok := event.Data.(types.EventDataNewBlock)
			require.True(b, ok)
			committed = len(data.Block.Txs) > 0
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
