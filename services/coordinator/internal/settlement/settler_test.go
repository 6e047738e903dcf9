package settlement

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// oracle is a ledger that gives prepared answers.
type oracle struct {
	Ledger
	job         *ledgerv1.GetJobResponse
	transaction *ledgerv1.GetTransactionResponse // nil: it does not answer
}

func (o oracle) Job(context.Context, aitbc.JobID, aitbc.AccountID) (*ledgerv1.GetJobResponse, error) {
	return o.job, nil
}

func (o oracle) Transaction(context.Context, aitbc.Hash) (*ledgerv1.GetTransactionResponse, error) {
	if o.transaction == nil {
		return nil, errors.New("away for a moment")
	}
	return o.transaction, nil
}

// grudge is a sink that takes nothing of one job.
type grudge struct {
	against aitbc.JobID
	taken   []aitbc.JobID
}

func (g *grudge) Settle(_ context.Context, outcomes []job.Outcome) error {
	for _, o := range outcomes {
		if o.JobID == g.against {
			return errors.New("a rule of the tables is broken")
		}
	}
	for _, o := range outcomes {
		g.taken = append(g.taken, o.JobID)
	}
	return nil
}

// newOffline gives a chain that is not running.
func newOffline(t *testing.T, deps Deps) (*Chain, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	deps.Registry, deps.Log = registry, slog.New(slog.DiscardHandler)
	c, err := New(DefaultConfig(), deps)
	require.NoError(t, err)
	c.mirror = newMirror(c.config)
	return c, registry
}

func TestTheBlockOfARefundAskedForBefore(t *testing.T) {
	t.Parallel()
	hash := aitbc.Hash{9}
	found := &ledgerv1.GetTransactionResponse{Found: true, Height: 7, BlockTimeUs: noon.UnixMicro()}
	for name, test := range map[string]struct {
		hash       []byte
		answer     *ledgerv1.GetTransactionResponse
		settled    bool
		wantHeight int64
	}{
		"is looked up":                             {hash: hash[:], answer: found, settled: true, wantHeight: 7},
		"is waited for while nobody answers":       {hash: hash[:]},
		"is none when history has forgotten it":    {hash: hash[:], answer: &ledgerv1.GetTransactionResponse{}, settled: true},
		"is none when history began after the ask": {answer: found, settled: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := newOffline(t, Deps{Ledger: oracle{transaction: test.answer, job: &ledgerv1.GetJobResponse{
				Escrow: &ledgerv1.Escrow{AmountUaitbc: 5, RefundFinalUs: 10, RefundTxHash: test.hash},
			}}})
			e := &entry{key: key{aitbc.JobID{1}, job.RefundJob}}
			rulings, waiting := c.ask(t.Context(), []*entry{e})
			if !test.settled {
				require.Empty(t, rulings)
				require.Equal(t, []*entry{e}, waiting)
				return
			}
			require.Empty(t, waiting)
			require.Len(t, rulings, 1)
			require.Equal(t, aitbc.Amount(5), rulings[0].outcome.Settlement.Refunded)
			require.Equal(t, test.wantHeight, rulings[0].outcome.Settlement.Height)
		})
	}
}

// Nothing of a transaction that was refused as a whole was looked at, so the ledger has not
// remembered it: its bytes may still be admitted.
func TestWhatABlockRefusedAsAWholeMayStillBeCommitted(t *testing.T) {
	t.Parallel()
	c, _ := newOffline(t, Deps{Ledger: oracle{transaction: &ledgerv1.GetTransactionResponse{
		Found: true, Code: ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT, LedgerTimeUs: noon.UnixMicro(),
	}}})
	e := &entry{key: key{aitbc.JobID{1}, job.SubmitJob}}
	f := &flight{hash: aitbc.Hash{1}, entries: []*entry{e}, expires: noon.Add(time.Minute)}
	c.mirror.depart(f)
	require.NoError(t, c.look(t.Context()))
	require.Empty(t, c.mirror.sky())
	require.Equal(t, []*entry{e}, c.mirror.take(noon))
	poor := &ledgerv1.MessageResult{Code: ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS}
	_, what := judge(e, poor, block{height: 2, now: noon.Add(time.Minute - 1)}, 0)
	require.Equal(t, later, what)
}

func TestAnOutcomeThatIsNotTakenIsCountedAndGivenBack(t *testing.T) {
	t.Parallel()
	sink := &grudge{against: aitbc.JobID{2}}
	c, registry := newOffline(t, Deps{Sink: sink})
	var rulings []ruling
	for n := range byte(4) {
		id := aitbc.JobID{n}
		rulings = append(rulings, ruling{&entry{key: key{id, job.RefundJob}}, job.Outcome{JobID: id, Kind: job.RefundJob}})
	}
	refused, err := c.hand(t.Context(), rulings)
	require.NoError(t, err)
	require.Equal(t, []*entry{rulings[2].entry}, refused)
	require.Equal(t, []aitbc.JobID{{0}, {1}, {3}}, sink.taken)
	count, err := testutil.GatherAndCount(registry, "aitbc_settlement_outcomes_refused_total")
	require.NoError(t, err)
	require.Equal(t, 1, count)
}
