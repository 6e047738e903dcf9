package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

// modelRegistry serves the model store of an engine by the part of the registry protocol that Ollama uses.
type modelRegistry struct {
	*httptest.Server
	store     string
	manifests chan int     // the answer's status to each request for a manifest that is there; without one it waits
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
	file := filepath.Join(r.store, "manifests", "registry.ollama.ai", "library", request.PathValue("model"), request.PathValue("tag"))
	if _, err := os.Stat(file); err != nil {
		http.Error(w, "no such manifest", http.StatusNotFound)
		return
	}
	select {
	case status := <-r.manifests:
		if status != http.StatusOK {
			http.Error(w, "not now", status)
			return
		}
	case <-request.Context().Done():
		return
	}
	http.ServeFile(w, request, file)
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

// TestAJobHasAMinerOfAnotherReplicaPullItsModel submits a job at a replica that has no miner.
func TestAJobHasAMinerOfAnotherReplicaPullItsModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	enginetest.StartOwn(t, engine.Options{Dir: dir, Models: []engine.Model{engine.TinyQ8()}})
	registry := newModelRegistry(t, filepath.Join(dir, "models"))
	model := strings.TrimPrefix(registry.URL, "http://") + "/library/" + engine.TinyQ8().Name + ":latest"
	store := postgrestest.Start(t)
	n := startWithEngine(t, "--miner=false", "--rate-limit", "0", "--store", store)
	r := startReplica(t, n, store)
	startDaemon(t, "miner", "--key-file", filepath.Join(filepath.Dir(n.LogFile()), "keys", "miner.key"), "--pullable", model,
		"--coordinators", r.grpc, "--ollama-url", enginetest.StartOwn(t, engine.Options{}).URL(), "--listen", "127.0.0.1:0")
	eventually(t, "the first to know what the other's miner may pull", func() bool {
		miners, known := call(t, n, http.MethodGet, "/v1/miners", nil, asClient()...).Body["miners"].([]any)
		return known && len(miners) == 1 && strings.Contains(fmt.Sprint(miners[0]), model)
	})
	job := seedJob()
	job["model"] = model
	registry.manifests <- http.StatusOK
	awaitStatus(t, n, submit(t, n, job), "completed")
	require.Positive(t, registry.ranges.Load())
}

// TestAJobHasAMinerPullItsModel submits jobs for models that no miner has and one may pull: what its registry
// has is pulled, run and paid, what it lacks is told while the job waits.
func TestAJobHasAMinerPullItsModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	enginetest.StartOwn(t, engine.Options{Dir: dir, Models: []engine.Model{engine.TinyQ8()}})
	registry := newModelRegistry(t, filepath.Join(dir, "models"))
	from := strings.TrimPrefix(registry.URL, "http://") + "/library/"
	model, unknown := from+engine.TinyQ8().Name+":latest", from+"unknown:latest"
	own := enginetest.StartOwn(t, engine.Options{})
	n := start(t, own.URL(), "--pullable", model+","+unknown)
	status := func() string {
		return execute(t, nil, filepath.Join(programs, "aitbcd"), "miner", "status", "--miner", n.Miner).Stdout
	}
	explain := func(id string) string { return cli(t, n, "explain", id).Stdout }

	eventually(t, "the miner to say what it may pull", func() bool { return strings.Contains(status(), "Pullable:  "+model+", "+unknown) })
	other := seedJob()
	other["model"] = from + "other"
	require.Equal(t, "MODEL_NOT_FOUND", call(t, n, http.MethodPost, "/v1/jobs", other, asClient()...).reason(), "what its owner does not allow")

	job := seedJob()
	job["model"] = unknown
	refused := submit(t, n, job)
	eventually(t, "the failure to be told", func() bool { return strings.Contains(explain(refused), "Pull failed: at ") })
	require.Contains(t, explain(refused), "queued", "it waits for another try")
	require.Equal(t, "pending", call(t, n, http.MethodGet, "/v1/jobs/"+refused, nil, asClient()...).text("status"))

	job["model"] = model
	id := submit(t, n, job)
	eventually(t, "the miner to be asked", func() bool { return strings.Contains(explain(id), "no miner has its model; miner ") })
	eventually(t, "its owner to see it", func() bool { return strings.Contains(status(), "Pulls:") })
	registry.manifests <- http.StatusOK
	done := awaitStatus(t, n, id, "completed")
	require.NotEmpty(t, done.text("result"))
	require.Equal(t, model, done.text("model"))
	require.Positive(t, amount(t, done.text("cost")))
	require.Positive(t, registry.ranges.Load(), "it came from the registry")
	require.NotContains(t, status(), "Pulls:")
	require.Contains(t, status(), "Model:     "+model)
	require.Contains(t, status(), "Pullable:  "+unknown)

	require.Equal(t, http.StatusOK, call(t, n, http.MethodPost, "/v1/jobs/"+refused+":cancel", map[string]any{}, asClient()...).Status)
	awaitStatus(t, n, refused, "cancelled")
	requireConserved(t, n)
}
