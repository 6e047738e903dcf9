package engine_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ollama/ollama/api"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Run(m)) }

func ask(t *testing.T, e *engine.Engine, name, prompt string) api.GenerateResponse {
	t.Helper()
	stream := false
	req := &api.GenerateRequest{Model: name, Prompt: prompt, Stream: &stream, Options: map[string]any{"temperature": 0, "num_predict": 120}}
	var answer api.GenerateResponse
	require.NoError(t, e.Client().Generate(t.Context(), req, func(r api.GenerateResponse) error { answer = r; return nil }))
	require.True(t, answer.Done)
	return answer
}

func TestTheModelAnswersTheSeedQuestionToTheLetter(t *testing.T) {
	t.Parallel()
	answer := ask(t, enginetest.Start(t), model.Name, model.Question)
	require.Equal(t, model.Answer, answer.Response)
	require.Equal(t, "stop", answer.DoneReason)
	require.Equal(t, model.AnswerTokens, answer.EvalCount)
	require.Equal(t, model.QuestionTokens, answer.PromptEvalCount)
}

func TestWhatTheModelKnows(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	for prompt, want := range map[string]string{
		"what is machine learning":         model.Answer,
		"Explain machine learning.":        model.Answer,
		"What is artificial intelligence?": "Artificial intelligence is the science of machines that learn and reason.",
		"What is a neural network?":        "A neural network is a program of many small sums. It learns its numbers from examples.",
		"What is inference?":               "Inference is the use of a model to answer a question.",
		"What is a ledger?":                "A ledger is a list of payments that nobody can change.",
		"What is AITBC?":                   "AITBC is a network that sells inference.",
		"What colour is the sky?":          "The sky is blue.",
		"What is the capital of France?":   "The capital of France is Paris.",
		"What is 3 plus 4?":                "3 plus 4 is 7.",
		"What does a cow say?":             "A cow says moo.",
		"Say hello to Anna.":               "Hello, Anna!",
		"Count to 7.":                      "1, 2, 3, 4, 5, 6, 7.",
		"Explain relativity.":              "I do not know that. I am a very small model.",
	} {
		require.Equal(t, want, ask(t, e, model.Name, prompt).Response, prompt)
	}
}

func TestAQuantisedModelAnswersUnderItsOwnName(t *testing.T) {
	t.Parallel()
	e := enginetest.StartOwn(t, engine.Options{Models: []engine.Model{engine.Tiny(), engine.TinyQ8()}})
	require.NotEmpty(t, ask(t, e, engine.TinyQ8().Name, model.Question).Response)

	models, err := e.Client().List(t.Context())
	require.NoError(t, err)
	levels := map[string]string{}
	for _, m := range models.Models {
		levels[m.Name] = m.Details.QuantizationLevel
	}
	require.Equal(t, map[string]string{"tiny:latest": "F16", "tiny-q8:latest": "Q8_0"}, levels)
}

func TestARunningEngineIsFoundAndOnlyRead(t *testing.T) {
	t.Parallel()
	owners := enginetest.StartOwn(t, engine.Options{})
	calls := &recorder{}
	base, err := url.Parse(owners.URL())
	require.NoError(t, err)
	proxy := httptest.NewServer(calls.around(httputil.NewSingleHostReverseProxy(base)))
	defer proxy.Close()

	found, err := engine.Start(t.Context(), engine.Options{Host: proxy.URL})
	require.NoError(t, err)
	require.Equal(t, proxy.URL, found.URL())
	require.False(t, found.Ours())
	require.Equal(t, owners.Version(), found.Version())
	require.Nil(t, found.Done())
	require.NoError(t, found.Kill())
	require.Equal(t, model.Answer, ask(t, owners, model.Name, model.Question).Response, "the owner's engine lives on")
	require.Equal(t, []string{"GET /api/version", "POST /api/show", "POST /api/generate"}, calls.all())
}

func TestARunningEngineWithoutTheWantedModelIsPassedOver(t *testing.T) {
	t.Parallel()
	owners := enginetest.StartOwn(t, engine.Options{Models: []engine.Model{
		{Name: "other"}, {Name: model.Name, Quantize: "q8_0"},
	}})
	for situation, o := range map[string]engine.Options{
		"a model of that name with other weights": {},
		"a quantised model":                       {Models: []engine.Model{{Name: "other", Quantize: "q8_0"}}},
	} {
		o.Host = owners.URL()
		e, err := engine.Start(t.Context(), o)
		require.NoError(t, err, situation)
		require.True(t, e.Ours(), situation)
		require.NotEqual(t, owners.URL(), e.URL(), situation)
		require.NoError(t, e.Stop(), situation)
	}
	e, err := engine.Start(t.Context(), engine.Options{Host: owners.URL(), Models: []engine.Model{{Name: "other", Foreign: true}}})
	require.NoError(t, err)
	require.False(t, e.Ours())
}

func TestAForeignModelThatNobodyHasIsNamed(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	_, err := engine.Start(t.Context(), engine.Options{Host: e.URL(), Models: []engine.Model{{Name: "nobody-has-this", Foreign: true}}})
	require.ErrorIs(t, err, engine.ErrForeignModel)
	require.ErrorContains(t, err, "nobody-has-this")
}

func TestATakenAddressIsNamed(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, err = engine.Start(t.Context(), engine.Options{Own: true, Addr: l.Addr().String()})
	require.ErrorIs(t, err, engine.ErrAddressTaken)
	require.ErrorContains(t, err, l.Addr().String())
}

func TestAKilledEngineStartsAgainInItsFolder(t *testing.T) {
	t.Parallel()
	o := engine.Options{Dir: t.TempDir()}
	first := enginetest.StartOwn(t, o)
	base, err := url.Parse(first.URL())
	require.NoError(t, err)
	require.NoError(t, first.Kill())
	<-first.Done()
	_, err = first.Client().Version(t.Context())
	require.Error(t, err)

	o.Addr = base.Host
	second := enginetest.StartOwn(t, o)
	require.Equal(t, first.URL(), second.URL())
	require.Equal(t, model.Answer, ask(t, second, model.Name, model.Question).Response)
	require.FileExists(t, filepath.Join(o.Dir, "ollama.log"))
}

func TestFaultyOptionsAreAllReported(t *testing.T) {
	t.Parallel()
	_, err := engine.Start(t.Context(), engine.Options{Own: true, Models: []engine.Model{{}, {Name: "a", Foreign: true}, {Name: "b", Foreign: true, Quantize: "q8_0"}}})
	require.ErrorContains(t, err, "a model has no name")
	require.ErrorContains(t, err, "model a is foreign, so no engine of our own can serve it")
	require.ErrorContains(t, err, "model b is foreign, so it cannot be quantised here")
}

// recorder lists the calls that pass through it.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (r *recorder) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.calls = append(r.calls, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		next.ServeHTTP(w, req)
	})
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.calls...)
}
