package obs

import (
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/aitbc/aitbc/services/internal/run"
)

// NewMetricsServer serves GET /metrics on the listener, which it owns from then on.
func NewMetricsServer(listener net.Listener, gatherer prometheus.Gatherer) *run.HTTP {
	return run.NewHTTP(listener, MetricsHandler(gatherer))
}

// MetricsHandler serves GET /metrics, for a port that serves other things too.
func MetricsHandler(gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	return mux
}
