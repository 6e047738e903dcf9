package app

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// Metrics are the ledger's figures. It collects the state's own when it is asked.
type Metrics struct {
	transactions *prometheus.CounterVec
	costs        costs
	last         atomic.Pointer[state.State]
	gauges       []gauge
}

type gauge struct {
	desc  *prometheus.Desc
	value func(*state.State) float64
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics registers the figures. The wall clock is asked for the age of the last block, which is
// the sign of life of a chain.
func NewMetrics(registerer prometheus.Registerer, now func() time.Time) (*Metrics, error) {
	m := &Metrics{
		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aitbc_ledger_transactions_total",
			Help: "Committed transactions by code; one of which no message was applied counts by its first.",
		}, []string{obs.KeyCode}),
		costs: newCosts(),
	}
	m.gauge("height", "Height of the last block.", func(s *state.State) float64 { return float64(s.Height()) })
	m.gauge("block_time_seconds", "Time of the last block, Unix seconds.", func(s *state.State) float64 {
		return float64(s.BlockTime().UnixMicro()) / 1e6
	})
	m.gauge("block_age_seconds", "Time since the last block: over a few heartbeats the chain stands still.", func(s *state.State) float64 {
		return now().Sub(s.BlockTime()).Seconds()
	})
	m.gauge("open_escrows", "Open escrows.", func(s *state.State) float64 { return float64(s.Supply().OpenEscrows) })
	m.gauge("receipts", "Receipts in the log.", func(s *state.State) float64 { return float64(s.Receipts()) })
	m.part("balances", func(s state.Supply) aitbc.Amount { return s.Balances })
	m.part("escrowed", func(s state.Supply) aitbc.Amount { return s.Escrowed })
	m.part("staked", func(s state.Supply) aitbc.Amount { return s.Staked })
	m.part("unbonding", func(s state.Supply) aitbc.Amount { return s.Unbonding })
	m.part("burned", func(s state.Supply) aitbc.Amount { return s.Burned })
	if err := registerer.Register(m); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Metrics) gauge(name, help string, value func(*state.State) float64) {
	desc := prometheus.NewDesc("aitbc_ledger_"+name, help, nil, nil)
	m.gauges = append(m.gauges, gauge{desc: desc, value: value})
}

func (m *Metrics) part(name string, value func(state.Supply) aitbc.Amount) {
	desc := prometheus.NewDesc("aitbc_ledger_supply_uaitbc", "Where every unit is; the parts sum to the supply.",
		nil, prometheus.Labels{"part": name})
	m.gauges = append(m.gauges, gauge{desc: desc, value: func(s *state.State) float64 { return float64(value(s.Supply())) }})
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	m.transactions.Describe(descs)
	m.costs.seconds.Describe(descs)
	for _, g := range m.gauges {
		descs <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	m.transactions.Collect(metrics)
	m.costs.seconds.Collect(metrics)
	st := m.last.Load()
	if st == nil {
		return
	}
	for _, g := range m.gauges {
		metrics <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(st))
	}
}
