package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
)

func TestAQuoteIsWhatASubmissionWouldGet(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		quote := func(edit func(*dispatch.SubmitRequest)) dispatch.Quote {
			r := request()
			if edit != nil {
				edit(&r)
			}
			q, err := w.Quote(t.Context(), r)
			require.NoError(t, err)
			return q
		}
		why := func(q dispatch.Quote) coordinatorv1.ErrorReason { return q.Refusal.Why }

		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_QUEUE_TIMEOUT, why(quote(nil)), "nobody is here")
		m := w.connected(1, 1)
		q := quote(nil)
		require.Nil(t, q.Refusal)
		require.Equal(t, 1, q.Eligible)
		require.Equal(t, 1, q.Place.Position)
		require.Zero(t, q.Usual)
		j := w.queue()
		require.Equal(t, j.Order.MaxPrice, q.Order.MaxPrice)
		require.Equal(t, j.Order.ExecutionLimitUS, q.Order.ExecutionLimitUS)
		require.Empty(t, w.owes(aitbc.JobID{}), "a quote owes nothing")

		h := m.lease()
		m.begin(h)
		pass(time.Second)
		done := m.finish(h)
		paid := aitbc.Price(time.Duration(done.Completion.MeteredUS)*time.Microsecond, done.Order.Price, done.Order.MaxPrice)
		require.Equal(t, paid, quote(nil).Usual)
		require.LessOrEqual(t, quote(func(r *dispatch.SubmitRequest) { r.MaxPrice = paid }).Usual, paid)

		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND,
			why(quote(func(r *dispatch.SubmitRequest) { r.Model = "another" })))
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS,
			why(quote(func(r *dispatch.SubmitRequest) { r.MaxPrice = 2000 * aitbc.UnitsPerCoin })))
		_, err := w.Quote(t.Context(), dispatch.SubmitRequest{Client: clientID, Model: "tiny", Type: aitbc.TypeInference, MaxPrice: 1})
		require.Error(t, err, "a price limit that buys nothing is a fault of the request")
	})
}
