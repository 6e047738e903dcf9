package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
)

// requireQuota checks that a submission is refused for now, and for how long.
func requireQuota(t *testing.T, err error, wait time.Duration) {
	t.Helper()
	var refusal interface {
		Reason() coordinatorv1.ErrorReason
		RetryAfter() time.Duration
	}
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED, refusal.Reason())
	require.InDelta(t, wait.Seconds(), refusal.RetryAfter().Seconds(), 1, err.Error())
}

func TestAClientMayHaveSoManyJobsUnderWay(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.Quotas.Jobs = 2 }, func(t *testing.T, w *world) {
		first := w.queue()
		w.queue()
		_, err := w.Submit(t.Context(), request())
		requireQuota(t, err, time.Second)
		other := request()
		other.Client = aitbc.AccountID{77}
		_, err = w.Submit(t.Context(), other)
		require.NoError(t, err, "others are not concerned")
		_, err = w.Cancel(t.Context(), clientID, first.ID)
		require.NoError(t, err)
		w.settle()
		w.queue()
		w.restart()
		_, err = w.Submit(t.Context(), request())
		requireQuota(t, err, time.Second)
	})
}

func TestAClientMayHaveSoManyTokensUnderWay(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.Quotas.Tokens = 1100 }, func(t *testing.T, w *world) {
		w.queue() // its answer may have 500 tokens
		w.queue()
		_, err := w.Submit(t.Context(), request())
		requireQuota(t, err, time.Second)
		short, most := request(), int32(50)
		short.Options.NumPredict = &most
		_, err = w.Submit(t.Context(), short)
		require.NoError(t, err)
	})
}

func TestSubmissionsBeyondWhatIsWorkedOnAreShed(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.MaxSubmitting = 1 }, func(t *testing.T, w *world) {
		w.ledger.hold()
		slow := make(chan error)
		go func() {
			_, err := w.Submit(t.Context(), request())
			slow <- err
		}()
		pass(time.Millisecond)
		_, err := w.Submit(t.Context(), request())
		var refusal interface {
			Reason() coordinatorv1.ErrorReason
		}
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, refusal.Reason())
		w.ledger.release()
		require.NoError(t, <-slow)
		_, err = w.Submit(t.Context(), request())
		require.NoError(t, err)
	})
}
