package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ollama/ollama/api"

	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

const (
	createLimit = 2 * time.Minute  // 0.1 s on an idle machine
	askLimit    = 10 * time.Second // for a question about the server itself
	checkLimit  = 5 * time.Minute  // a big model of an owner loads for minutes
	checkTokens = 16               // enough to see that text comes out
)

// prepare makes the models and checks the first by a real generation.
func (e *Engine) prepare(ctx context.Context, models []Model) error {
	var err error
	if e.version, err = version(ctx, e.client); err != nil {
		return err
	}
	if err := uploadFile(ctx, e.client); err != nil {
		return err
	}
	for _, m := range models {
		if err := create(ctx, e.client, m); err != nil {
			return err
		}
	}
	return check(ctx, e.client, models[0].Name)
}

func version(ctx context.Context, client *api.Client) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	v, err := client.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the version: %w", err)
	}
	return v, nil
}

func uploadFile(ctx context.Context, client *api.Client) error {
	ctx, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	if err := client.CreateBlob(ctx, blobDigest(), bytes.NewReader(model.File())); err != nil {
		return fmt.Errorf("upload the model file: %w", err)
	}
	return nil
}

func create(ctx context.Context, client *api.Client, m Model) error {
	ctx, cancel := context.WithTimeout(ctx, createLimit)
	defer cancel()
	req := &api.CreateRequest{
		Model:      m.Name,
		Files:      map[string]string{model.Name + ".gguf": blobDigest()},
		Template:   model.Template,
		Parameters: model.Parameters(),
		Quantize:   m.Quantize,
	}
	if err := client.Create(ctx, req, func(api.ProgressResponse) error { return nil }); err != nil {
		return fmt.Errorf("create model %s: %w", m.Name, err)
	}
	return nil
}

func blobDigest() string { return "sha256:" + model.SHA256 }

var errNoAnswer = errors.New("it ended without an answer")

// check has the model answer a prompt. An Ollama that lists a model but cannot
// run it is no engine.
func check(ctx context.Context, client *api.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	stream := false
	req := &api.GenerateRequest{
		Model:   name,
		Prompt:  model.Question,
		Stream:  &stream,
		Options: map[string]any{"temperature": 0, "num_predict": checkTokens},
	}
	var answer api.GenerateResponse
	err := client.Generate(ctx, req, func(r api.GenerateResponse) error {
		answer = r
		return nil
	})
	if err == nil && (!answer.Done || strings.TrimSpace(answer.Response) == "") {
		err = errNoAnswer
	}
	if err != nil {
		return fmt.Errorf("ask model %s a question: %w", name, err)
	}
	return nil
}
