package executor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/ollama/ollama/api"
)

var errPullCut = errors.New("the engine's stream ended before the model was there")

// Pull has the server fetch a model from its registry, and returns when it has it. It gives to progress,
// now and then, the bytes that are here and those that are wanted, of the layers begun so far. What a
// pull that ends early has fetched, the server keeps for the next. A registry on this machine is spoken
// to by http, any other by https. Errors: the server's, ctx's.
func (o *Ollama) Pull(ctx context.Context, model string, progress func(done, total int64)) error {
	type layer struct{ done, total int64 }
	layers := map[string]layer{}
	succeeded := false
	request := &api.PullRequest{Model: model, Insecure: isLocalRegistry(model)}
	err := o.client.Pull(ctx, request, func(p api.ProgressResponse) error {
		succeeded = p.Status == "success"
		if p.Digest == "" {
			return nil
		}
		layers[p.Digest] = layer{p.Completed, p.Total}
		var sum layer
		for _, l := range layers {
			sum.done, sum.total = sum.done+l.done, sum.total+l.total
		}
		progress(sum.done, sum.total)
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("pull %s: %w", model, err)
	case ctx.Err() != nil: // the client library gives nil for a stream that was cut
		return fmt.Errorf("pull %s: %w", model, context.Cause(ctx))
	case !succeeded:
		return fmt.Errorf("pull %s: %w", model, errPullCut)
	}
	return nil
}

// isLocalRegistry says that a model's name begins with the address of a registry on loopback.
func isLocalRegistry(model string) bool {
	address, _, hasAddress := strings.Cut(model, "/")
	host, _, err := net.SplitHostPort(address)
	if !hasAddress || err != nil {
		return false
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
