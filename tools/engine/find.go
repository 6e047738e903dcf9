package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/envconfig"

	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

// findLimit is how long a running server may take to say its version: it is
// looked for on every start, so a host that swallows packets must not cost much.
const findLimit = 3 * time.Second

var (
	errOtherModel = errors.New("its model of that name is not the one shipped here")
	errQuantised  = errors.New("a quantised model is made in an engine of our own only")
)

// find takes the server that already runs, if it serves the models. It only
// asks: the server belongs to somebody else.
func find(ctx context.Context, o Options) (*Engine, error) {
	base := envconfig.Host()
	if o.Host != "" {
		var err error
		if base, err = url.Parse(o.Host); err != nil {
			return nil, fmt.Errorf("read the engine's URL: %w", err)
		}
	}
	e := &Engine{url: base.String(), client: api.NewClient(base, &http.Client{})}
	if err := e.greet(ctx); err != nil {
		return nil, fmt.Errorf("no Ollama answers at %s: %w", e.url, err)
	}
	for _, m := range o.Models {
		if err := e.has(ctx, m); err != nil {
			return nil, fmt.Errorf("the Ollama at %s does not serve %s: %w", e.url, m.Name, err)
		}
	}
	name := o.Models[0].Name
	ask := func() error { return check(ctx, e.client, name) }
	if err := (progress{o.Progress}).during("waiting for "+name+" at "+e.url, ask); err != nil {
		return nil, fmt.Errorf("the Ollama at %s is of no use: %w", e.url, err)
	}
	return e, nil
}

func (e *Engine) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, findLimit)
	defer cancel()
	var err error
	e.version, err = version(ctx, e.client)
	return err
}

// has checks that the server's model is the very one that is wanted: of ours
// by the checksum of its weights and by its template, of others by name.
func (e *Engine) has(ctx context.Context, m Model) error {
	if m.Quantize != "" {
		return errQuantised
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	shown, err := e.client.Show(ctx, &api.ShowRequest{Model: m.Name})
	if err != nil {
		return fmt.Errorf("ask for the model: %w", err)
	}
	if m.Foreign {
		return nil
	}
	// The Modelfile that Ollama shows names the blob of the weights by its checksum.
	if !strings.Contains(shown.Modelfile, "sha256-"+model.SHA256) || shown.Template != model.Template {
		return errOtherModel
	}
	return nil
}
