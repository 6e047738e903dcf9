package e2e

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

// modelRegistry serves the model store of an engine by the part of the registry protocol that Ollama uses.
type modelRegistry struct {
	*httptest.Server
	store     string
	manifests chan int     // the answer's status to each request for a manifest; without one it waits
	ranges    atomic.Int32 // requests for a blob's bytes
}

func newModelRegistry(t *testing.T, store string) *modelRegistry {
	t.Helper()
	r := &modelRegistry{store: store, manifests: make(chan int, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/library/{model}/manifests/{tag}", r.manifest)
	mux.HandleFunc("GET /v2/library/{model}/blobs/{digest}", r.blob)
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *modelRegistry) manifest(w http.ResponseWriter, request *http.Request) {
	select {
	case status := <-r.manifests:
		if status != http.StatusOK {
			http.Error(w, "not now", status)
			return
		}
	case <-request.Context().Done():
		return
	}
	http.ServeFile(w, request, filepath.Join(r.store, "manifests", "registry.ollama.ai", "library", request.PathValue("model"), request.PathValue("tag")))
}

// blob serves a blob and says where it is, as a registry that has its own store: Ollama takes the bytes from
// there.
func (r *modelRegistry) blob(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Location", r.URL+request.URL.Path)
	if request.Header.Get("Range") != "" {
		r.ranges.Add(1)
	}
	http.ServeFile(w, request, filepath.Join(r.store, "blobs", strings.ReplaceAll(request.PathValue("digest"), ":", "-")))
}

// TestAMinerPullsWhatItsOwnerAllows has a miner fetch a model that its engine lacks from a registry that
// fails at first, and run a job on it.
func TestAMinerPullsWhatItsOwnerAllows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	enginetest.StartOwn(t, engine.Options{Dir: dir, Models: []engine.Model{engine.TinyQ8()}})
	registry := newModelRegistry(t, filepath.Join(dir, "models"))
	model := strings.TrimPrefix(registry.URL, "http://") + "/library/" + engine.TinyQ8().Name + ":latest"
	own := enginetest.StartOwn(t, engine.Options{})
	n := start(t, own.URL(), "--pull", model)
	status := func() string {
		return execute(t, nil, filepath.Join(programs, "aitbcd"), "miner", "status", "--miner", n.Miner).Stdout
	}

	eventually(t, "the pull to begin", func() bool { return strings.Contains(status(), "Pulls:") })
	job := seedJob()
	job["model"] = model
	require.Equal(t, "MODEL_NOT_FOUND", call(t, n, http.MethodPost, "/v1/jobs", job, asClient()...).reason(), "it is not there yet")
	registry.manifests <- http.StatusServiceUnavailable
	eventually(t, "the failure to be shown", func() bool { return strings.Contains(status(), "the last failed: ") })
	require.Contains(t, status(), "not now")
	registry.manifests <- http.StatusOK
	eventually(t, "the model to be offered", func() bool {
		return call(t, n, http.MethodGet, "/v1/models/"+model, nil, asClient()...).Status == http.StatusOK
	})

	require.Positive(t, registry.ranges.Load(), "it came from the registry")
	shown := status()
	require.NotContains(t, shown, "Pulls:")
	require.Contains(t, shown, "Model:     "+model)
	done := awaitStatus(t, n, submit(t, n, job), "completed")
	require.NotEmpty(t, done.text("result"))
	requireConserved(t, n)
}
