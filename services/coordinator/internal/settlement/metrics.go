package settlement

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// metrics show the settlement's work.
type metrics struct {
	messages     *prometheus.GaugeVec
	flights      prometheus.Gauge
	outcomes     *prometheus.CounterVec
	refused      *prometheus.CounterVec
	transactions *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) (metrics, error) {
	m := metrics{
		messages: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "aitbc_settlement_messages",
			Help: "Messages owed to the ledger, as far as they are in memory: ready to be sent, or parked for a later try.",
		}, []string{"state"}),
		flights: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aitbc_settlement_transactions_in_flight",
			Help: "Transactions whose outcome is awaited.",
		}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aitbc_settlement_outcomes_total",
			Help: "Messages whose outcome was applied, by kind.",
		}, []string{"kind"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aitbc_settlement_outcomes_refused_total",
			Help: "Outcomes that the store did not take, by kind of message: a human should look. Each is tried again.",
		}, []string{"kind"}),
		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aitbc_settlement_transactions_total",
			Help: "Transactions by how they ended: committed, refused by the node's check, or expired without a block.",
		}, []string{"end"}),
	}
	for _, collector := range []prometheus.Collector{m.messages, m.flights, m.outcomes, m.refused, m.transactions} {
		if err := registry.Register(collector); err != nil {
			return metrics{}, err
		}
	}
	return m, nil
}

func (m metrics) watch(of *mirror) {
	ready, parked, flights := of.counts()
	m.messages.WithLabelValues("ready").Set(float64(ready))
	m.messages.WithLabelValues("parked").Set(float64(parked))
	m.flights.Set(float64(flights))
}

func (m metrics) settled(outcomes []job.Outcome) {
	for _, o := range outcomes {
		m.outcomes.WithLabelValues(string(o.Kind)).Inc()
	}
}
