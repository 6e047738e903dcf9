package executor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/ollama/ollama/api"
)

// lookLimit bounds the calls that only look: models and version.
const lookLimit = 10 * time.Second

// Ollama is an executor on one Ollama server. Its methods may be called at once.
type Ollama struct {
	client    *api.Client
	transport *http.Transport
}

// New makes an executor for the server at base, such as http://127.0.0.1:11434. It opens nothing.
func New(base *url.URL) *Ollama {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: lookLimit}).DialContext,
		MaxIdleConnsPerHost: 16, // one for each slot, mostly, so that no job waits for a connection
		IdleConnTimeout:     time.Minute,
	}
	return &Ollama{client: api.NewClient(base, &http.Client{Transport: transport}), transport: transport}
}

// Close lets go of the idle connections.
func (o *Ollama) Close() { o.transport.CloseIdleConnections() }

// Version gives the server's version, such as 0.17.4.
func (o *Ollama) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	version, err := o.client.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine for its version: %w", err)
	}
	return version, nil
}

// Models lists the models with their digests. Models that the server only passes on to another
// machine are left out: this one does not compute them.
func (o *Ollama) Models(ctx context.Context) ([]Model, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	list, err := o.client.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the engine for its models: %w", err)
	}
	loaded, err := o.client.ListRunning(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the engine for its loaded models: %w", err)
	}
	taken := make(map[string]int64, len(loaded.Models))
	for _, m := range loaded.Models {
		taken[FullName(m.Name)] = m.Size
	}
	var models []Model
	for _, m := range list.Models {
		if m.RemoteHost != "" || m.RemoteModel != "" {
			continue
		}
		name := FullName(m.Name)
		memory, warm := taken[name]
		models = append(models, Model{Name: name, Digest: m.Digest, SizeBytes: m.Size, MemoryBytes: memory, Warm: warm})
	}
	return models, nil
}

// Digest gives the digest of one model as it is now. Errors: [*Failure] with [ModelNotFound] or
// [EngineError].
func (o *Ollama) Digest(ctx context.Context, model string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	list, err := o.client.List(ctx)
	if err != nil {
		return "", &Failure{Reason: EngineError, Message: "the engine does not list its models", Err: err}
	}
	for _, m := range list.Models {
		if FullName(m.Name) == FullName(model) {
			return m.Digest, nil
		}
	}
	return "", &Failure{Reason: ModelNotFound, Message: fmt.Sprintf("the engine does not have model %s", model)}
}
