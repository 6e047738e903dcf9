package app

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestOnlyThePartsOwnTimeIsCounted(t *testing.T) {
	t.Parallel()
	c := newCosts()
	stop := c.begin(partCheck)
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		burn(20 * time.Millisecond) // another thread's
	}()
	burn(5 * time.Millisecond)
	<-waiting
	stop()
	spent := testutil.ToFloat64(c.seconds.WithLabelValues(partCheck))
	require.GreaterOrEqual(t, spent, 0.005)
	require.Less(t, spent, 0.020)
	require.Zero(t, testutil.ToFloat64(c.seconds.WithLabelValues(partSignatures)))
}

// burn uses so much processor time of its thread.
func burn(d time.Duration) {
	defer newCosts().begin(partExecute)()
	for began := threadTime(); threadTime()-began < d; {
		continue
	}
}
