package obs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry makes a registry that has the metrics of the Go runtime and of the process.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// RPC counts and times calls. The label method is the full gRPC name, for REST calls too, so that
// its values are bounded by the contracts.
type RPC struct {
	calls    *prometheus.CounterVec
	inFlight *prometheus.GaugeVec
	duration *prometheus.HistogramVec
}

// NewRPC registers the metrics of one server. Services that share a registry wrap it with a label
// each (prometheus.WrapRegistererWith).
func NewRPC(registerer prometheus.Registerer) (*RPC, error) {
	m := &RPC{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aitbc_rpc_calls_total",
			Help: "Finished calls by method, gRPC code and error reason (empty: none).",
		}, []string{KeyMethod, KeyCode, KeyReason}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "aitbc_rpc_calls_in_flight",
			Help: "Calls and streams that run now, by method.",
		}, []string{KeyMethod}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aitbc_rpc_duration_seconds",
			Help: "Time from a call's arrival to its answer, by method; streams count too.",
			// 250 us to 16 s.
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 17),
		}, []string{KeyMethod}),
	}
	for _, c := range []prometheus.Collector{m.calls, m.inFlight, m.duration} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Started counts a call that has arrived; the caller must call Finished once.
func (m *RPC) Started(method string) { m.inFlight.WithLabelValues(method).Inc() }

// Finished counts a call that has been answered.
func (m *RPC) Finished(method, code, reason string, took time.Duration) {
	m.inFlight.WithLabelValues(method).Dec()
	m.calls.WithLabelValues(method, code, reason).Inc()
	m.duration.WithLabelValues(method).Observe(took.Seconds())
}

// Refused counts a call that ended before it became one, such as a REST body that does not parse.
func (m *RPC) Refused(method, code, reason string) {
	m.calls.WithLabelValues(method, code, reason).Inc()
}
