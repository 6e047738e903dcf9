package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each way to make a job gives the same job again after the coordinator was killed, and refuses another
// request under the same key.
func TestARepeatAfterAKillMakesNoSecondJob(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	with := func(body map[string]any, field string, value any) map[string]any {
		changed := map[string]any{field: value}
		for k, v := range body {
			if k != field {
				changed[k] = v
			}
		}
		return changed
	}
	ways := map[string]struct {
		path, id string
		body     map[string]any
		field    string // that another request differs in
		value    any
	}{
		"job":        {"/v1/jobs", "", seedJob(), "prompt", "Something else."},
		"chat":       {"/v1/chat/completions", "Aitbc-Job-Id", chatBody(nil), "seed", 7},
		"completion": {"/v1/completions", "Aitbc-Job-Id", map[string]any{"model": "tiny", "prompt": question, "temperature": 0}, "max_tokens", 9},
		"embedding":  {"/v1/embeddings", "Aitbc-Job-Id", map[string]any{"model": "tiny", "input": question}, "input", "Something else."},
		"a stream":   {"/v1/completions", "Aitbc-Job-Id", map[string]any{"model": "tiny", "prompt": question, "max_tokens": 4}, "max_tokens", 5},
	}
	post := func(way string, body map[string]any) (id string, a answerOf) {
		w := ways[way]
		a = call(t, n, http.MethodPost, w.path, body, append(asClient(), "Idempotency-Key", "once, "+way)...)
		if w.id == "" {
			return a.text("job_id"), a
		}
		return a.Header.Get(w.id), a
	}
	first := map[string]string{}
	for way, w := range ways {
		id, a := post(way, w.body)
		require.Equal(t, http.StatusOK, a.Status, "%s: %v", way, a.Body)
		require.NotEmpty(t, id, way)
		first[way] = id
	}

	n.Kill()
	require.NoError(t, n.Restart(t.Context()))

	for way, w := range ways {
		id, a := post(way, w.body)
		require.Equal(t, http.StatusOK, a.Status, "%s: %v", way, a.Body)
		require.Equal(t, first[way], id, way)
		_, other := post(way, with(w.body, w.field, w.value))
		require.Equal(t, http.StatusConflict, other.Status, way)
	}
	streamed := with(ways["a stream"].body, "stream", true)
	request := callEvents(t, n, "/v1/completions", streamed, append(asClient(), "Idempotency-Key", "once, a stream")...)
	require.Equal(t, first["a stream"], request.Get("Aitbc-Job-Id"), "how an answer is sent is no part of what is asked")
	all := call(t, n, http.MethodGet, "/v1/jobs", nil, asClient()...)
	require.Len(t, all.Body["jobs"], len(ways), "no second job")
}
