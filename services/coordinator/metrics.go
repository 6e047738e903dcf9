package coordinator

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// countTimeout bounds the store's answer while metrics are gathered.
const countTimeout = 2 * time.Second

// jobCounter shows how many jobs there are in each status, read from the store's own counts when
// metrics are gathered.
type jobCounter struct {
	reader store.Reader
	jobs   *prometheus.Desc
}

var _ prometheus.Collector = (*jobCounter)(nil)

func newJobCounter(reader store.Reader) *jobCounter {
	return &jobCounter{reader, prometheus.NewDesc("aitbc_jobs", "Jobs by status.", []string{"status"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *jobCounter) Describe(descs chan<- *prometheus.Desc) { descs <- c.jobs }

// Collect implements prometheus.Collector.
func (c *jobCounter) Collect(metrics chan<- prometheus.Metric) {
	// Prometheus gathers without a context.
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	counts, err := c.reader.CountByStatus(ctx)
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(c.jobs, err)
		return
	}
	for _, status := range []job.Status{job.StatusPending, job.StatusRunning, job.StatusCompleted, job.StatusFailed, job.StatusCancelled} {
		metrics <- prometheus.MustNewConstMetric(c.jobs, prometheus.GaugeValue, float64(counts[status]), string(status))
	}
}

// newWatcherGauge shows how many watch jobs now.
func newWatcherGauge(d *dispatch.Dispatcher) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "aitbc_job_watchers", Help: "Open streams of job events.",
	}, func() float64 { return float64(d.Watchers()) })
}

// flushes counts what the committer writes: how many changes share a flush is what makes it fast.
type flushes struct {
	changes prometheus.Histogram
	seconds prometheus.Histogram
}

func newFlushes(registerer prometheus.Registerer) (*flushes, error) {
	f := &flushes{
		changes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aitbc_store_flush_changes", Help: "Changes in one transaction of the store.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aitbc_store_flush_seconds", Help: "Time of one transaction of the store, flush included.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 15),
		}),
	}
	for _, c := range []prometheus.Collector{f.changes, f.seconds} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *flushes) observe(flush store.Flush) {
	f.changes.Observe(float64(flush.Changes))
	f.seconds.Observe(flush.Took.Seconds())
}
