package attempt

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts attempts.
type Metrics struct {
	running prometheus.Gauge
	ends    *prometheus.CounterVec
	compute prometheus.Counter
	tokens  prometheus.Counter
}

// NewMetrics makes the counters and registers them. Errors: one of them is registered already.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aitbc_miner_running_attempts", Help: "Leases that run now.",
		}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aitbc_miner_attempts_total", Help: "Ended attempts by outcome: completed, stopped, failed, revoked, refused.",
		}, []string{"outcome"}),
		compute: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aitbc_miner_compute_seconds_total", Help: "Compute time of the signed results.",
		}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aitbc_miner_output_tokens_total", Help: "Tokens of the signed results.",
		}),
	}
	for _, c := range []prometheus.Collector{m.running, m.ends, m.compute, m.tokens} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register miner metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) began()   { m.running.Inc() }
func (m *Metrics) refused() { m.ends.WithLabelValues("refused").Inc() }

func (m *Metrics) ended(out outcome) {
	m.running.Dec()
	m.ends.WithLabelValues(out.name()).Inc()
	if out.err == nil {
		m.compute.Add(out.answer.Compute.Seconds())
		m.tokens.Add(float64(out.answer.OutputTokens))
	}
}
