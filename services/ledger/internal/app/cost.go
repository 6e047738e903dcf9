package app

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// What processor time goes into. Signatures are part of check and execute too.
const (
	partSignatures = "signatures"
	partCheck      = "check"
	partExecute    = "execute"
	partCommit     = "commit"
)

// costs sums up the processor time of the application's parts. What the process uses beside them is
// consensus: blocks, votes, mempool and JSON-RPC.
type costs struct{ seconds *prometheus.CounterVec }

func newCosts() costs {
	c := costs{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "aitbc_ledger_cpu_seconds_total",
		Help: "Processor time of the application: the mempool's checks, execution with hashing, commit; and signatures, which are in the first two. Linux only.",
	}, []string{"part"})}
	for _, part := range []string{partSignatures, partCheck, partExecute, partCommit} {
		c.seconds.WithLabelValues(part)
	}
	return c
}

// begin takes a part's time until stop is called, on the same goroutine.
func (c costs) begin(part string) (stop func()) {
	runtime.LockOSThread() // the time is the thread's
	began := threadTime()
	return func() {
		c.seconds.WithLabelValues(part).Add((threadTime() - began).Seconds())
		runtime.UnlockOSThread()
	}
}
