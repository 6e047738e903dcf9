package obs_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aitbc/aitbc/services/internal/obs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogGoesToStderrAndToTheFile(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	cfg := obs.DefaultLogConfig("coordinator", t.TempDir())
	cfg.Dir = filepath.Join(t.TempDir(), "made", "on", "demand")
	for range 2 { // a restart appends
		log, err := obs.NewLogger(cfg, &stderr)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(cfg.Dir, "coordinator.log"), log.Path)
		log.Info("job queued", obs.KeyJobID, "job_1")
		log.Debug("not shown")
		require.NoError(t, log.Close())
	}
	content, err := os.ReadFile(filepath.Join(cfg.Dir, "coordinator.log"))
	require.NoError(t, err)
	for _, text := range []string{string(content), stderr.String()} {
		require.Contains(t, text, `msg="job queued" service=coordinator job_id=job_1`)
		require.Equal(t, 2, bytes.Count([]byte(text), []byte("\n")))
	}
	info, err := os.Stat(log(cfg))
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o007, "others may not read it")
}

func log(cfg obs.LogConfig) string { return filepath.Join(cfg.Dir, cfg.Name+".log") }

func TestBadLogSettingsAreNamed(t *testing.T) {
	t.Parallel()
	cfg := obs.DefaultLogConfig("x", t.TempDir())
	cfg.Level = "loud"
	_, err := obs.NewLogger(cfg, io.Discard)
	require.ErrorContains(t, err, `"loud"`)
	cfg = obs.DefaultLogConfig("x", t.TempDir())
	cfg.Format = "xml"
	_, err = obs.NewLogger(cfg, io.Discard)
	require.ErrorContains(t, err, `"xml"`)
	cfg = obs.DefaultLogConfig("x", "")
	cfg.Dir = filepath.Join(os.DevNull, "no folder")
	_, err = obs.NewLogger(cfg, io.Discard)
	require.ErrorContains(t, err, "opening the log file")
}

func TestACallGathersAttributes(t *testing.T) {
	t.Parallel()
	require.Empty(t, obs.RequestID(t.Context()))
	obs.Annotate(t.Context(), slog.String("nobody", "listens"))
	ctx, call := obs.WithCall(t.Context(), "r1")
	obs.Annotate(ctx, slog.String(obs.KeyAccountID, "a"))
	require.Equal(t, "r1", obs.RequestID(ctx))
	require.Equal(t, []slog.Attr{slog.String(obs.KeyRequestID, "r1"), slog.String(obs.KeyAccountID, "a")}, call.Attrs())
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	registry := obs.NewRegistry()
	metrics, err := obs.NewRPC(registry)
	require.NoError(t, err)
	_, err = obs.NewRPC(registry)
	require.Error(t, err, "two services need a label each")
	metrics.Started("/m")
	metrics.Finished("/m", "OK", "", 0)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := obs.NewMetricsServer(listener, registry)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr().String()+"/metrics", nil)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Contains(t, string(body), `aitbc_rpc_calls_total{code="OK",method="/m",reason=""} 1`)
	require.Contains(t, string(body), `aitbc_rpc_calls_in_flight{method="/m"} 0`)
	require.Contains(t, string(body), "go_goroutines")
	cancel()
	require.NoError(t, <-ended)
}
