package executor_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/executor/executortest"
	"github.com/aitbc/aitbc/services/miner/internal/executor/ollamafake"
	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

func TestMain(m *testing.M) {
	code := enginetest.Run(m)
	if err := goleak.Find(goleak.IgnoreCurrent()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func open(t *testing.T, base *url.URL) *executor.Ollama {
	t.Helper()
	o := executor.New(base)
	t.Cleanup(o.Close)
	return o
}

func TestOllamaOnTheRealEngine(t *testing.T) {
	server := enginetest.Start(t)
	base, err := url.Parse(server.URL())
	require.NoError(t, err)
	o := open(t, base)
	version, err := o.Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, server.Version(), version)
	executortest.Run(t, executortest.Subject{Executor: o, Model: executor.FullName(engine.Tiny().Name)})
}

func TestOllamaOnTheFake(t *testing.T) {
	fake := ollamafake.Start(t)
	executortest.Run(t, executortest.Subject{Executor: open(t, fake.URL()), Model: ollamafake.Model})
}

type failureCase struct {
	script ollamafake.Script
	reason any
	text   string // what had arrived
}

func failureCases() map[string]failureCase {
	return map[string]failureCase{
		"the stream is cut": {
			script: func(w http.ResponseWriter, _ *http.Request) {
				ollamafake.Chunk(w, "half an")
				panic(http.ErrAbortHandler)
			},
			reason: executor.Incomplete, text: "half an",
		},
		"the stream ends without done": {
			script: func(w http.ResponseWriter, _ *http.Request) { ollamafake.Chunk(w, "half an") },
			reason: executor.Incomplete, text: "half an",
		},
		"the runner dies in mid-stream": {
			script: func(w http.ResponseWriter, _ *http.Request) {
				ollamafake.Chunk(w, "half an")
				ollamafake.ErrorLine(w, "an error was encountered while running the model: unexpected EOF")
			},
			reason: executor.EngineError, text: "half an",
		},
		"the queue is full": {
			script: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				ollamafake.ErrorLine(w, "server busy, please try again.  maximum pending requests exceeded")
			},
			reason: executor.Overloaded,
		},
		"the engine fails": {
			script: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusInternalServerError)
				ollamafake.ErrorLine(w, "llama runner process has terminated")
			},
			reason: executor.EngineError,
		},
		"the line is no JSON": {
			script: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\n")) },
			reason: executor.EngineError,
		},
		"the measurements are negative": {
			script: func(w http.ResponseWriter, _ *http.Request) { ollamafake.Done(w, 1, -1) },
			reason: executor.EngineError,
		},
		"the answer is too long": {
			script: func(w http.ResponseWriter, _ *http.Request) {
				ollamafake.Chunk(w, "short")
				ollamafake.Chunk(w, strings.Repeat("x", executor.MaxText))
				ollamafake.Done(w, 1, 2)
			},
			reason: executor.EngineError, text: "short",
		},
	}
}

func TestFailuresKeepTheirClass(t *testing.T) {
	fake := ollamafake.Start(t)
	o := open(t, fake.URL())
	for name, c := range failureCases() {
		t.Run(name, func(t *testing.T) {
			fake.OnPrompt(name, c.script)
			answer, err := o.Generate(t.Context(), executor.Request{Model: ollamafake.Model, Prompt: name, Limit: time.Minute})
			executortest.RequireFailure(t, err, c.reason)
			require.False(t, answer.Complete)
			require.Equal(t, c.text, string(answer.Text))
		})
	}
}

func TestTheLimitEndsAStreamThatHangs(t *testing.T) {
	fake := ollamafake.Start(t)
	fake.OnPrompt("hang", ollamafake.Hang("one ", "two"))
	answer, err := open(t, fake.URL()).Generate(t.Context(),
		executor.Request{Model: ollamafake.Model, Prompt: "hang", Limit: 200 * time.Millisecond})
	executortest.RequireFailure(t, err, executor.ExecutionLimit)
	require.Equal(t, "one two", string(answer.Text))
	require.Equal(t, uint32(2), answer.OutputTokens)
	require.Less(t, answer.Compute, 200*time.Millisecond)
}

func TestOnlySamplingOptionsReachTheEngine(t *testing.T) {
	fake := ollamafake.Start(t)
	o := open(t, fake.URL())
	generate := func(options executor.Options) map[string]any {
		_, err := o.Generate(t.Context(), executor.Request{Model: ollamafake.Model, Prompt: "Hello", Limit: time.Minute, Options: options})
		require.NoError(t, err)
		requests := fake.Requests()
		return requests[len(requests)-1]
	}
	request := generate(executor.Options{})
	require.Equal(t, false, request["truncate"])
	require.Equal(t, false, request["shift"])
	require.Equal(t, true, request["stream"])
	require.Equal(t, map[string]any{"num_predict": 500.0}, request["options"])

	half, seven := 0.5, int32(7)
	request = generate(executor.Options{
		Temperature: &half, NumPredict: &seven, TopP: &half, TopK: &seven, MinP: &half,
		RepeatPenalty: &half, Seed: &seven, Stop: []string{"end"},
	})
	require.Equal(t, map[string]any{
		"temperature": 0.5, "num_predict": 7.0, "top_p": 0.5, "top_k": 7.0, "min_p": 0.5,
		"repeat_penalty": 0.5, "seed": 7.0, "stop": []any{"end"},
	}, request["options"])
}

func TestAModelPassedOnToAnotherMachineIsNotOurs(t *testing.T) {
	fake := ollamafake.Start(t)
	models, err := open(t, fake.URL()).Models(t.Context())
	require.NoError(t, err)
	require.Len(t, models, 1)
	require.Equal(t, ollamafake.Model, models[0].Name)
}

func TestFullName(t *testing.T) {
	for name, want := range map[string]string{
		"tiny":                   "tiny:latest",
		"tiny:q8":                "tiny:q8",
		"library/tiny":           "library/tiny:latest",
		"models.example:80/tiny": "models.example:80/tiny:latest",
	} {
		require.Equal(t, want, executor.FullName(name))
	}
}
