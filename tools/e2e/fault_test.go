package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

// fault is what the proxy does to a generation.
type fault func(w http.ResponseWriter, r *http.Request, engine http.Handler)

// faultyEngine is a proxy in front of the real engine whose generations can be broken at will.
// Everything else, and generations while no fault is set, pass.
type faultyEngine struct {
	*httptest.Server
	fault       atomic.Pointer[fault]
	generations atomic.Int64
}

func newFaultyEngine(t *testing.T) *faultyEngine {
	t.Helper()
	target, err := url.Parse(enginetest.Start(t).URL())
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	f := &faultyEngine{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/generate" {
			proxy.ServeHTTP(w, r)
			return
		}
		f.generations.Add(1)
		if broken := f.fault.Load(); broken != nil {
			(*broken)(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *faultyEngine) set(broken fault) { f.fault.Store(&broken) }

// answersError is an engine that refuses.
func answersError(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write([]byte(`{"error":"llama runner process has terminated"}`))
}

// losesTheEnd passes the engine's stream without its last line, the one that says done.
func losesTheEnd(w http.ResponseWriter, r *http.Request, engine http.Handler) {
	whole := httptest.NewRecorder()
	engine.ServeHTTP(whole, r)
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := bufio.NewScanner(bytes.NewReader(whole.Body.Bytes()))
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"done":true`) {
			return
		}
		_, _ = w.Write(append(lines.Bytes(), '\n'))
	}
}

// hangs keeps a generation open until its caller goes away, which a server notices only when it has
// read the whole request.
func hangs(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}
