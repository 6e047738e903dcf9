package executor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	aitbc "github.com/aitbc/aitbc/clients/go"
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

// said has the engine answer a chat with these messages, and gives the whole answer.
func said(t *testing.T, messages ...api.Message) executor.Answer {
	t.Helper()
	fake := ollamafake.Start(t)
	fake.OnPrompt("Hello.", func(w http.ResponseWriter, _ *http.Request) {
		for _, m := range messages {
			ollamafake.ChatMessage(w, m)
		}
		ollamafake.ChatDone(w, 1, 99)
	})
	content, err := aitbc.Chat{Messages: []aitbc.ChatMessage{{Role: "user", Content: "Hello."}}}.Content()
	require.NoError(t, err)
	answer, err := open(t, fake.URL()).Generate(t.Context(),
		executor.Request{Type: aitbc.TypeChat, Model: ollamafake.Model, Prompt: content, Limit: time.Minute})
	require.NoError(t, err)
	return answer
}

func TestAChatsAnswerIsOneMessage(t *testing.T) {
	arguments := api.NewToolCallFunctionArguments()
	arguments.Set("z", 1)
	arguments.Set("a", "b")
	call := api.ToolCall{ID: "call_1", Function: api.ToolCallFunction{Name: "f", Arguments: arguments}}
	for name, c := range map[string]struct {
		messages []api.Message
		want     string
		reason   string
	}{
		"nothing at all": {want: `{"role":"assistant","content":""}`, reason: executor.FinishStop},
		"thinking, then content": {
			messages: []api.Message{{Thinking: "Hm"}, {Thinking: "."}, {Content: "Yes"}, {Content: "\n"}},
			want:     `{"role":"assistant","thinking":"Hm.","content":"Yes\n"}`, reason: executor.FinishStop,
		},
		"both in one piece": {
			messages: []api.Message{{Thinking: "Hm", Content: "Yes"}, {Thinking: "too late"}, {Content: "!"}},
			want:     `{"role":"assistant","thinking":"Hm","content":"Yes!"}`, reason: executor.FinishStop,
		},
		"a tool call": {
			messages: []api.Message{{Thinking: "Hm"}, {ToolCalls: []api.ToolCall{call}}},
			want: `{"role":"assistant","thinking":"Hm","content":"","tool_calls":` +
				`[{"id":"call_1","name":"f","arguments":"{\"z\":1,\"a\":\"b\"}"}]}`,
			reason: executor.FinishToolCalls,
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := said(t, c.messages...)
			require.Equal(t, c.reason, answer.FinishReason)
			require.Equal(t, c.want, string(answer.Text))
			_, err := aitbc.ParseAnswer(c.want)
			require.NoError(t, err)
		})
	}
}

func TestAStoppedChatIsAMessageToo(t *testing.T) {
	fake := ollamafake.Start(t)
	fake.OnPrompt("Hello.", func(w http.ResponseWriter, r *http.Request) {
		ollamafake.ChatChunk(w, "one ")
		<-r.Context().Done()
	})
	content, err := aitbc.Chat{Messages: []aitbc.ChatMessage{{Role: "user", Content: "Hello."}}}.Content()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	answer, err := open(t, fake.URL()).Generate(ctx, executor.Request{
		Type: aitbc.TypeChat, Model: ollamafake.Model, Prompt: content, Limit: time.Minute, Heard: func(executor.Piece) { cancel() },
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, `{"role":"assistant","content":"one "}`, string(answer.Text))
	require.Equal(t, uint32(1), answer.OutputTokens)
}

func TestNoAnswerInTheFormatIsTheRequestsFault(t *testing.T) {
	fake := ollamafake.Start(t)
	fake.OnPrompt("list", func(w http.ResponseWriter, _ *http.Request) {
		for range 30 {
			ollamafake.Chunk(w, "\n")
		}
	})
	_, err := open(t, fake.URL()).Generate(t.Context(), executor.Request{
		Model: ollamafake.Model, Prompt: "list", Limit: time.Minute, Options: aitbc.Options{Format: aitbc.FormatJSON},
	})
	executortest.RequireFailure(t, err, executor.Rejected)
	require.Equal(t, "json", fake.Requests()[0]["format"])
}

func TestTheLimitEndsAStreamThatHangs(t *testing.T) {
	const limit = 2 * time.Second // the two chunks are there long before
	fake := ollamafake.Start(t)
	fake.OnPrompt("hang", ollamafake.Hang("one ", "two"))
	answer, err := open(t, fake.URL()).Generate(t.Context(),
		executor.Request{Model: ollamafake.Model, Prompt: "hang", Limit: limit})
	executortest.RequireFailure(t, err, executor.ExecutionLimit)
	require.Equal(t, "one two", string(answer.Text))
	require.Equal(t, uint32(2), answer.OutputTokens)
	require.Less(t, answer.Compute, limit)
}

func TestOnlySamplingOptionsReachTheEngine(t *testing.T) {
	fake := ollamafake.Start(t)
	o := open(t, fake.URL())
	generate := func(options aitbc.Options) map[string]any {
		_, err := o.Generate(t.Context(), executor.Request{Model: ollamafake.Model, Prompt: "Hello", Limit: time.Minute, Options: options})
		require.NoError(t, err)
		requests := fake.Requests()
		return requests[len(requests)-1]
	}
	request := generate(aitbc.Options{})
	require.Equal(t, false, request["truncate"])
	require.Equal(t, false, request["shift"])
	require.Equal(t, true, request["stream"])
	require.Equal(t, map[string]any{"num_predict": 500.0}, request["options"])

	half, seven := 0.5, int32(7)
	request = generate(aitbc.Options{
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
