package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
)

// answerOf is what a REST call answered.
type answerOf struct {
	Status int
	Header http.Header
	Body   map[string]any
}

// reason is the ErrorInfo reason of an error answer.
func (a answerOf) reason() string {
	details, _ := a.Body["details"].([]any)
	for _, detail := range details {
		fields, _ := detail.(map[string]any)
		if reason, ok := fields["reason"].(string); ok {
			return reason
		}
	}
	return ""
}

// violation is the first field that an error answer names.
func (a answerOf) violation() string {
	details, _ := a.Body["details"].([]any)
	for _, detail := range details {
		fields, _ := detail.(map[string]any)
		violations, _ := fields["field_violations"].([]any)
		if len(violations) == 0 {
			violations, _ = fields["fieldViolations"].([]any)
		}
		for _, violation := range violations {
			if field, ok := violation.(map[string]any)["field"].(string); ok {
				return field
			}
		}
	}
	return ""
}

func (a answerOf) text(field string) string {
	text, _ := a.Body[field].(string)
	return text
}

// call makes a REST call at the coordinator. body is JSON text or a value to be encoded; nil: none.
func call(t *testing.T, n *network.Network, method, path string, body any, headers ...string) answerOf {
	t.Helper()
	return callAt(t, "http://"+n.CoordinatorREST, method, path, body, headers...)
}

func callAt(t *testing.T, base, method, path string, body any, headers ...string) answerOf {
	t.Helper()
	var payload io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		payload = bytes.NewBufferString(body)
	default:
		encoded, err := json.Marshal(body)
		require.NoError(t, err)
		payload = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, base+path, payload)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a := answerOf{Status: response.StatusCode, Header: response.Header}
	require.NoError(t, json.Unmarshal(raw, &a.Body), "%s %s answered %d: %s", method, path, response.StatusCode, raw)
	return a
}

// callEvents makes a REST call that answers with server-sent events, reads them to their end, and gives the
// headers.
func callEvents(t *testing.T, n *network.Network, path string, body any, headers ...string) http.Header {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.CoordinatorREST+path, bytes.NewReader(encoded))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	events, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(events), "data: [DONE]")
	return response.Header
}

func asClient() []string { return []string{"X-Api-Key", clientKey} }
func asMiner() []string  { return []string{"X-Miner-Key", minerKey} }

// submit submits a job and gives its id.
func submit(t *testing.T, n *network.Network, job map[string]any) string {
	t.Helper()
	a := call(t, n, http.MethodPost, "/v1/jobs", job, asClient()...)
	require.Equal(t, http.StatusOK, a.Status, "%v", a.Body)
	require.Equal(t, "pending", a.text("status"))
	return a.text("job_id")
}

// seedJob is the seed document's body, for our model.
func seedJob() map[string]any {
	return map[string]any{"type": "inference", "prompt": question, "model": "tiny", "options": map[string]any{"temperature": 0}}
}

func getJob(t *testing.T, n *network.Network, id string) answerOf {
	t.Helper()
	a := call(t, n, http.MethodGet, "/v1/jobs/"+id, nil, asClient()...)
	require.Equal(t, http.StatusOK, a.Status, "%v", a.Body)
	return a
}

// awaitStatus waits until the job has the status and gives the job.
func awaitStatus(t *testing.T, n *network.Network, id, status string) answerOf {
	t.Helper()
	var job answerOf
	eventually(t, "job "+id+" to be "+status, func() bool {
		job = getJob(t, n, id)
		if got := job.text("status"); got != status && (got == "completed" || got == "failed" || got == "cancelled") {
			require.Equal(t, status, got, "%v", job.Body)
		}
		return job.text("status") == status
	})
	return job
}

// failure is the reason of a job's error.
func failure(job answerOf) string {
	fields, _ := job.Body["error"].(map[string]any)
	reason, _ := fields["reason"].(string)
	return reason
}
