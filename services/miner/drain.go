package miner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aitbc/aitbc/services/miner/internal/attempt"
)

// lastWords is how long a leaving miner waits for the coordinator to take what it has to tell.
// Results that are not accepted by then are on disk and go out after the next start.
const lastWords = 3 * time.Second

// drain finishes what runs within the owner's deadline, gives up what is left, and tells.
func (s *Service) drain(ctx context.Context, p parts) {
	s.deps.Logger.InfoContext(ctx, "miner drains", "running", len(p.runner.Status().Running), "timeout", s.cfg.DrainTimeout)
	p.runner.Drain()
	idle := func(r attempt.Report) bool { return len(r.State.GetRunningLeaseIds()) == 0 }
	if !await(ctx, s.cfg.DrainTimeout, p.runner, idle) {
		p.runner.Abort()
	}
	await(ctx, lastWords, p.runner, func(r attempt.Report) bool {
		return idle(r) && (!p.session.Status().Connected || len(r.Results)+len(r.Failures) == 0)
	})
}

// await waits until a report is as wanted; false: it was not in time.
func await(ctx context.Context, limit time.Duration, runner *attempt.Runner, wanted func(attempt.Report) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		changed := runner.Watch()
		if wanted(runner.Report()) {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// registerGauges shows what the parts know.
func registerGauges(registerer prometheus.Registerer, p parts) error {
	connected := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aitbc_miner_connected", Help: "1 while there is a session with a coordinator.",
	}, func() float64 {
		if p.session.Status().Connected {
			return 1
		}
		return 0
	})
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aitbc_miner_unaccepted_results", Help: "Results on disk that no coordinator has accepted yet.",
	}, func() float64 { return float64(len(p.spool.Waiting())) })
	if err := errors.Join(registerer.Register(connected), registerer.Register(waiting)); err != nil {
		return fmt.Errorf("register miner metrics: %w", err)
	}
	return nil
}
