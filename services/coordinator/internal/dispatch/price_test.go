package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

func TestAPriceLimitBuysAsMuchComputeAsItPaysFor(t *testing.T) {
	cases := map[string]struct {
		limit  aitbc.Amount
		asked  time.Duration
		want   time.Duration // zero: refused
		client bool          // the limit counts as the client's own
	}{
		"more than the default limit costs": {limit: 7_000_000, want: 300 * time.Second},
		"as much as the default limit":      {limit: 6_000_000, want: 300 * time.Second},
		"less":                              {limit: 250_000, want: 12_500 * time.Millisecond, client: true},
		"less than the limit asked for":     {limit: 250_000, asked: time.Minute, want: 12_500 * time.Millisecond, client: true},
		"more than the limit asked for":     {limit: 250_000, asked: 5 * time.Second, want: 5 * time.Second, client: true},
		"a poor account's":                  {limit: 10_000, want: 500 * time.Millisecond, client: true},
		"the least":                         {limit: 2_000, want: 100 * time.Millisecond, client: true},
		"less than the least":               {limit: 1_999},
		"next to nothing":                   {limit: 1},
		"more than there is":                {limit: 1 << 62},
	}
	inWorld(t, nil, func(t *testing.T, w *world) {
		for name, c := range cases {
			r := request()
			r.MaxPrice, r.Execution = c.limit, c.asked
			j, err := w.Submit(t.Context(), r)
			var refusal *job.Error
			switch {
			case c.limit > w.ledger.balance:
				require.ErrorIs(t, err, reason(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS), name)
				require.ErrorContains(t, err, "a lower max_price or a shorter timeouts.execution", name)
			case c.want == 0:
				require.ErrorAs(t, err, &refusal, name)
				require.Equal(t, "max_price", refusal.Field, name)
				require.Contains(t, refusal.Message, "at least 0.002aitbc", name)
			default:
				require.NoError(t, err, name)
				require.Equal(t, c.want, j.ExecutionLimit(), name)
				require.Equal(t, c.limit, j.Order.MaxPrice, name)
				require.Equal(t, c.client, j.ClientLimit, name)
			}
		}
	})
}

// A limit of one unit must not buy the miner's time, whatever the miner's floor.
func TestAnAttemptEndsWhereThePriceLimitDoes(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		miner := w.connected(1, 1)
		w.queue(func(r *dispatch.SubmitRequest) { r.MaxPrice = 20_000 })
		h := miner.lease()
		miner.begin(h)
		pass(time.Second)
		_, revoked := miner.got()
		require.Equal(t, []revocation{{h.Job.ID.LeaseID(1), executionLimit, true}}, revoked)
		done, err := w.Complete(t.Context(), miner.id, miner.statement(h, "Machine", func(s *aitbc.Statement) { s.Stopped = true }))
		require.NoError(t, err)
		w.settle()
		require.Equal(t, aitbc.Amount(20_000), w.job(done.ID).Settlement.Paid, "what was done is paid, all of it")
	})
}

func TestAnExecutionLimitIsCutToTheTotalTimeout(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		j := w.submit(func(r *dispatch.SubmitRequest) { r.Total, r.Execution = 10*time.Second, 7200*time.Second })
		require.Equal(t, 10*time.Second, j.ExecutionLimit())
		require.Equal(t, aitbc.Amount(200_000), j.Order.MaxPrice)
		earliest := time.Now().Add(j.ExecutionLimit() + time.Hour)
		require.True(t, time.UnixMicro(j.Order.SettleByUS).After(earliest), "the ledger takes it")
	})
}
