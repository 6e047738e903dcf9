package gateway_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

const seedBody = `{"type":"inference","prompt":"What is machine learning?","model":"llama3.2:latest"}`

// fault is an error as REST shows it.
type fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Type       string            `json:"@type"`
		Reason     string            `json:"reason"`
		Domain     string            `json:"domain"`
		Metadata   map[string]string `json:"metadata"`
		Violations []struct {
			Field       string `json:"field"`
			Description string `json:"description"`
		} `json:"field_violations"`
	} `json:"details"`
}

func readFault(t *testing.T, answer *http.Response) (reason string, fields []string) {
	t.Helper()
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	var f fault
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&f))
	require.NotEmpty(t, f.Message)
	infos := 0
	for _, d := range f.Details {
		if d.Reason != "" {
			infos++
			reason = d.Reason
			require.Equal(t, "aitbc", d.Domain)
		}
		for _, v := range d.Violations {
			fields = append(fields, v.Field+": "+v.Description)
		}
	}
	require.Equal(t, 1, infos, "exactly one ErrorInfo")
	return reason, fields
}

func readAll(t *testing.T, answer *http.Response) string {
	t.Helper()
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(content)
}

func TestTheSeedsSubmission(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := serve(t, w, auth.DefaultLimitConfig())
	answer := p.do(t, "POST", "/v1/jobs", seedBody, "X-Api-Key", clientKey)
	require.Equal(t, 200, answer.StatusCode)
	require.NotEmpty(t, answer.Header.Get("X-Request-Id"))
	require.Equal(t, `{"job_id":"job_00000000000000000000000007","status":"pending","submitted_at":"2025-01-29T14:50:01Z","available":"2.5aitbc"}`+"\n", readAll(t, answer))
	require.Equal(t, []dispatch.SubmitRequest{{
		Client: client, Type: "inference", Prompt: "What is machine learning?", Model: "llama3.2:latest",
	}}, w.submitted)
}

func TestAllFieldsOfASubmissionArrive(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := serve(t, w, auth.DefaultLimitConfig())
	body := `{"type":"inference","prompt":"p","model":"m","max_price":"0.25aitbc","request_id":"r1",
		"model_digest":"` + strings.Repeat("ab", 32) + `","timeouts":{"queue":"5s","execution":"10s","total":"20s"},
		"options":{"temperature":0.5,"num_predict":9,"top_p":1,"top_k":2,"min_p":0,"repeat_penalty":1.5,"seed":3,"stop":["x"]}}`
	answer := p.do(t, "POST", "/v1/jobs", body, "X-Api-Key", clientKey, "Idempotency-Key", "r1")
	require.Equal(t, 200, answer.StatusCode)
	temperature, topP, minP, penalty := 0.5, 1.0, 0.0, 1.5
	predict, topK, seed := int32(9), int32(2), int32(3)
	digest, err := aitbc.ParseHash(strings.Repeat("ab", 32))
	require.NoError(t, err)
	require.Equal(t, []dispatch.SubmitRequest{{
		Client: client, RequestID: "r1", Type: "inference", Prompt: "p", Model: "m", Digest: digest, MaxPrice: 250_000,
		Queue: 5 * time.Second, Execution: 10 * time.Second, Total: 20 * time.Second,
		Options: aitbc.Options{
			Temperature: &temperature, NumPredict: &predict, TopP: &topP, TopK: &topK, MinP: &minP,
			RepeatPenalty: &penalty, Seed: &seed, Stop: []string{"x"},
		},
	}}, w.submitted)
}

func TestAChatArrivesAsItsContent(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := serve(t, w, auth.DefaultLimitConfig())
	// Schemas may stand as themselves: their bytes are taken as they are.
	body := `{"type":"chat","model":"m","messages":[{"role":"user","content":"Hi","images":["iVBORw0="]},
		{"role":"assistant","tool_calls":[{"name":"f","arguments":{"z": 1,"a":2}}]},{"role":"tool","tool_name":"f","content":"3"}],
		"tools":[{"name":"f","description":"d","parameters":{"type":"object", "properties":{"z":{},"a":{}}}}],
		"options":{"format":{"type":"object","properties":{"z":{},"a":{}}}}}`
	answer := p.do(t, "POST", "/v1/jobs", body, "X-Api-Key", clientKey)
	require.Equal(t, 200, answer.StatusCode, readAll(t, answer))
	answer = p.do(t, "POST", "/v1/jobs", `{"type":"embedding","model":"m","input":["a","b"]}`, "X-Api-Key", clientKey)
	require.Equal(t, 200, answer.StatusCode, readAll(t, answer))
	require.Equal(t, []dispatch.SubmitRequest{
		{
			Client: client, Type: "chat", Model: "m",
			Prompt: `{"messages":[{"content":"Hi","images":["iVBORw0="],"role":"user"},` +
				`{"role":"assistant","tool_calls":[{"arguments":"{\"z\": 1,\"a\":2}","name":"f"}]},` +
				`{"content":"3","role":"tool","tool_name":"f"}],` +
				`"tools":[{"description":"d","name":"f","parameters":"{\"type\":\"object\", \"properties\":{\"z\":{},\"a\":{}}}"}]}`,
			Options: aitbc.Options{Format: `{"type":"object","properties":{"z":{},"a":{}}}`},
		},
		{Client: client, Type: "embedding", Model: "m", Prompt: `["a","b"]`},
	}, w.submitted)
}

func TestWhatDoesNotBelongToATypeIsRefusedByField(t *testing.T) {
	t.Parallel()
	tests := map[string]refused{}
	for body, want := range map[string]string{
		`{"type":"inference","model":"m"}`:                                                                                   "prompt: must not be empty for the type inference",
		`{"type":"chat","model":"m"}`:                                                                                        "messages: must not be empty for the type chat",
		`{"type":"embedding","model":"m"}`:                                                                                   "input: must not be empty for the type embedding",
		`{"type":"inference","model":"m","prompt":"p","tools":[{"name":"f"}]}`:                                               "tools: is for the type chat, this is inference: leave it out",
		`{"type":"chat","model":"m","prompt":"p","messages":[{"role":"user","content":"Hi"}]}`:                               "prompt: is for the type inference, this is chat: leave it out",
		`{"type":"embedding","model":"m","input":["a"],"options":{"seed":1}}`:                                                "options: have no meaning for the type embedding: leave them out",
		`{"type":"embedding","model":"m","input":["a",""]}`:                                                                  "input[1]: must not be empty",
		`{"type":"chat","model":"m","messages":[{"role":"boss","content":"Hi"}]}`:                                            "messages[0].role: use one of: system, user, assistant, tool",
		`{"type":"chat","model":"m","messages":[{"role":"user"}]}`:                                                           "messages[0].content: must not be empty, but beside images or tool calls",
		`{"type":"chat","model":"m","messages":[{"role":"user","content":"a","tool_name":"f"}]}`:                             "messages[0].tool_name: is for the role tool, this is user: leave it out",
		`{"type":"chat","model":"m","messages":[{"role":"assistant","tool_calls":[{"name":"f","arguments":"[]"}]}]}`:         "messages[0].tool_calls[0].arguments: must be the text of a JSON object",
		`{"type":"chat","model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","parameters":"{"}]}`:     "tools[0].parameters: must be the text of a JSON object",
		`{"type":"chat","model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", aitbc.MaxContent) + `"}]}`: "messages: must have at most 1048576 bytes in all, got 1048619",
		`{"type":"inference","model":"m","prompt":"p","options":{"format":"xml"}}`:                                           `options.format: must be "json" or the text of a JSON schema, which is an object`,
		`{"type":"inference","model":"m","prompt":"p","options":{"num_ctx":4096}}`:                                           "options.num_ctx: is an unknown field; known here: temperature, num_predict, top_p, top_k, min_p, repeat_penalty, seed, stop, format",
		`{"type":"inference","model":"m","prompt":"p","keep_alive":"1h"}`:                                                    "keep_alive: is an unknown field; known here: type, prompt, model, options, max_price, timeouts, request_id, model_digest, order, messages, tools, input, priority",
	} {
		tests[want] = refused{verb: "POST", path: "/v1/jobs", body: body, want: []string{want}}
	}
	requireRefused(t, tests)
}

// refused is a request with the fields that its refusal must name.
type refused struct {
	verb, path, body string
	header           string
	want             []string
}

func requireRefused(t *testing.T, tests map[string]refused) {
	t.Helper()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			headers := []string{"X-Api-Key", clientKey}
			if test.header != "" {
				headers = append(headers, "Idempotency-Key", test.header)
			}
			answer := p.do(t, test.verb, test.path, test.body, headers...)
			require.Equal(t, 400, answer.StatusCode)
			reason, fields := readFault(t, answer)
			require.Equal(t, "INVALID_FIELD", reason)
			require.Equal(t, test.want, fields)
		})
	}
}

func TestBodiesThatDoNotFitAreRefusedByField(t *testing.T) {
	t.Parallel()
	requireRefused(t, map[string]refused{
		"no fields at all": {
			verb: "POST", path: "/v1/jobs", body: "",
			want: []string{"type: use one of: inference, chat, embedding", "model: must not be empty"},
		},
		"unknown field": {
			verb: "POST", path: "/v1/jobs", body: `{"type":"inference","prompt":"p","model":"m","promt":"x"}`,
			want: []string{"promt: is an unknown field; known here: type, prompt, model, options, max_price, timeouts, request_id, model_digest, order, messages, tools, input, priority"},
		},
		"unknown nested field and a wrong type": {
			verb: "POST", path: "/v1/jobs", body: `{"options":{"temprature":1,"top_k":"many","stop":["a",1]},"timeouts":{"queue":60}}`,
			want: []string{
				"options.temprature: is an unknown field; known here: temperature, num_predict, top_p, top_k, min_p, repeat_penalty, seed, stop, format",
				"options.top_k: must be a whole number of 32 bits",
				"options.stop[1]: must be text in UTF-8",
				`timeouts.queue: must be seconds as text, such as "60s"`,
			},
		},
		"camelCase is not the contract's": {
			verb: "POST", path: "/v1/jobs", body: `{"maxPrice":"1aitbc"}`,
			want: []string{"maxPrice: is an unknown field; known here: type, prompt, model, options, max_price, timeouts, request_id, model_digest, order, messages, tools, input, priority"},
		},
		"a field twice": {
			verb: "POST", path: "/v1/jobs", body: `{"prompt":"a","prompt":"b"}`,
			want: []string{"prompt: was given twice"},
		},
		"malformed JSON": {
			verb: "POST", path: "/v1/jobs", body: "{\"type\":\n  \"inference\",}",
			want: []string{"body: is not valid JSON at line 2, column 15: invalid character '}' looking for beginning of object key string"},
		},
		"JSON that ends early": {
			verb: "POST", path: "/v1/jobs", body: `{"type":`,
			want: []string{"body: is not valid JSON at line 1, column 8: unexpected end of JSON input"},
		},
		"two JSON values": {
			verb: "POST", path: "/v1/jobs", body: `{} {}`,
			want: []string{"body: is not valid JSON at line 1, column 4: invalid character '{' after top-level value"},
		},
		"not an object": {
			verb: "POST", path: "/v1/jobs", body: `["type"]`,
			want: []string{"body: must be a JSON object"},
		},
		"a list where an object belongs": {
			verb: "POST", path: "/v1/jobs", body: `{"options":[]}`,
			want: []string{"options: must be an object"},
		},
		"oversized prompt": {
			verb: "POST", path: "/v1/jobs", body: `{"type":"inference","model":"m","prompt":"` + strings.Repeat("x", 262145) + `"}`,
			want: []string{"prompt: must be at most 262144 bytes long, got 262145"},
		},
		"max_price that is no coin text": {
			verb: "POST", path: "/v1/jobs", body: `{"type":"inference","prompt":"p","model":"m","max_price":"0.25"}`,
			want: []string{`max_price: must be coin text above zero with at most six decimals, such as "0.25aitbc"`},
		},
	})
}

func TestQueriesThatDoNotFitAreRefusedByKey(t *testing.T) {
	t.Parallel()
	requireRefused(t, map[string]refused{
		"query key on a call with a body": {
			verb: "POST", path: "/v1/jobs?dry_run=1", body: seedBody,
			want: []string{"dry_run: is an unknown query key; this call takes its fields in the body"},
		},
		"unknown query key": {
			verb: "GET", path: "/v1/jobs?limit=3",
			want: []string{"limit: is an unknown query key; known here: status, page_size, page_token"},
		},
		"path parameter in the query": {
			verb: "GET", path: "/v1/jobs/" + jobID.String() + "?job_id=x",
			want: []string{"job_id: is an unknown query key; none is known here"},
		},
		"query values that do not fit": {
			verb: "GET", path: "/v1/jobs?page_size=many&status=a&status=b",
			want: []string{"page_size: must be a whole number of 32 bits", "status: may be given once"},
		},
		"query value out of range": {
			verb: "GET", path: "/v1/jobs?status=lost",
			want: []string{"status: use one of: pending, running, completed, failed, cancelled"},
		},
		"malformed query": {
			verb: "GET", path: "/v1/jobs?a;b",
			want: []string{"query: is not a valid query string"},
		},
		"page token of nobody": {
			verb: "GET", path: "/v1/jobs?page_token=xyz",
			want: []string{"page_token: must be a next_page_token of an earlier answer"},
		},
		"a job id that is none": {
			verb: "GET", path: "/v1/jobs/job_1",
			want: []string{"job_id: must be `job_` and a lower-case ULID"},
		},
	})
}

func TestPathHeaderAndBodyMustAgree(t *testing.T) {
	t.Parallel()
	requireRefused(t, map[string]refused{
		"another job in the body than in the path": {
			verb: "POST", path: "/v1/jobs/" + jobID.String() + ":cancel", body: `{"job_id":"job_1"}`,
			want: []string{"job_id: must equal the path's, or be left out"},
		},
		"idempotency key and request_id differ": {
			verb: "POST", path: "/v1/jobs", body: `{"type":"inference","prompt":"p","model":"m","request_id":"a"}`, header: "b",
			want: []string{"request_id: and the header Idempotency-Key must be equal, or one be left out"},
		},
	})
}

func TestIdempotencyKeyHeaderIsTheRequestID(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := serve(t, w, auth.DefaultLimitConfig())
	require.Equal(t, 200, p.do(t, "POST", "/v1/jobs", seedBody, "X-Api-Key", clientKey, "Idempotency-Key", "retry-1").StatusCode)
	require.Equal(t, "retry-1", w.submitted[0].RequestID)
}

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.jobs[jobID] = completedJob()
	w.results[jobID] = "the answer"
	p := serve(t, w, auth.DefaultLimitConfig())
	mine := "/v1/jobs/" + jobID.String()
	for name, test := range map[string]struct {
		verb, path string
		headers    []string
		status     int
		reason     string
	}{
		"no key":                               {"GET", mine, nil, 401, "INVALID_KEY"},
		"unknown key":                          {"GET", mine, []string{"X-Api-Key", "guess"}, 401, "INVALID_KEY"},
		"empty key":                            {"GET", mine, []string{"X-Api-Key", ""}, 401, "INVALID_KEY"},
		"two keys":                             {"GET", mine, []string{"X-Api-Key", clientKey, "X-Miner-Key", theMinerKey}, 401, "INVALID_KEY"},
		"a miner's key in the client's header": {"GET", mine, []string{"X-Api-Key", theMinerKey}, 401, "INVALID_KEY"},
		"a key smuggled in as metadata":        {"GET", mine, []string{"Grpc-Metadata-X-Api-Key", clientKey}, 401, "INVALID_KEY"},
		"a miner reads a job":                  {"GET", mine, []string{"X-Miner-Key", theMinerKey}, 403, "SCOPE_MISSING"},
		"an admin submits":                     {"GET", "/v1/jobs", []string{"X-Api-Key", adminKey}, 403, "SCOPE_MISSING"},
		"a client lists leases":                {"GET", "/v1/leases", []string{"X-Api-Key", clientKey}, 403, "SCOPE_MISSING"},
		"another client's job":                 {"GET", mine, []string{"X-Api-Key", strangerKey}, 404, "JOB_NOT_FOUND"},
		"cancelling another client's job":      {"POST", mine + ":cancel", []string{"X-Api-Key", strangerKey}, 404, "JOB_NOT_FOUND"},
		"a job nobody has":                     {"GET", "/v1/jobs/" + numbered(99).String(), []string{"X-Api-Key", clientKey}, 404, "JOB_NOT_FOUND"},
		"its owner":                            {"GET", mine, []string{"X-Api-Key", clientKey}, 200, ""},
		"another client's receipt":             {"GET", "/v1/receipts/" + jobID.ReceiptID(), []string{"X-Api-Key", strangerKey}, 404, "RECEIPT_NOT_FOUND"},
		"its client's receipt":                 {"GET", "/v1/receipts/" + jobID.ReceiptID(), []string{"X-Api-Key", clientKey}, 200, ""},
		"its miner's receipt":                  {"GET", "/v1/receipts/" + jobID.ReceiptID(), []string{"X-Miner-Key", theMinerKey}, 200, ""},
		"a receipt for an admin":               {"GET", "/v1/receipts/" + jobID.ReceiptID(), []string{"X-Api-Key", adminKey}, 403, "SCOPE_MISSING"},
		"models for an admin":                  {"GET", "/v1/models", []string{"X-Api-Key", adminKey}, 200, ""},
		"no such model":                        {"GET", "/v1/models/a/b:c", []string{"X-Api-Key", clientKey}, 404, "MODEL_NOT_FOUND"},
		"no such path":                         {"GET", "/v1/jobz", []string{"X-Api-Key", clientKey}, 404, "ROUTE_NOT_FOUND"},
		"no such path, no key":                 {"GET", "/", nil, 404, "ROUTE_NOT_FOUND"},
		"wrong method":                         {"DELETE", mine, []string{"X-Api-Key", clientKey}, 405, "ROUTE_NOT_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := p.do(t, test.verb, test.path, "", test.headers...)
			require.Equal(t, test.status, answer.StatusCode)
			if test.reason != "" {
				reason, _ := readFault(t, answer)
				require.Equal(t, test.reason, reason)
			}
			if test.status == 405 {
				require.Equal(t, "GET", answer.Header.Get("Allow"))
			}
		})
	}
}

func TestErrorsOfTheDomainBecomeHTTPStatuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		status int
		reason string
		retry  string
	}{
		"not enough funds":     {job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, "needs 6aitbc, has 1aitbc"), 402, "INSUFFICIENT_FUNDS", ""},
		"nobody has the model": {job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND, "no miner has it"), 404, "MODEL_NOT_FOUND", ""},
		"other request":        {job.ErrMismatch, 409, "IDEMPOTENCY_MISMATCH", ""},
		"id taken":             {job.ErrExists, 409, "JOB_EXISTS", ""},
		"overloaded":           {apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, "full").WithRetryAfter(1500 * time.Millisecond), 503, "OVERLOADED", "2"},
		"ledger away":          {job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE, "no answer"), 503, "LEDGER_UNAVAILABLE", ""},
		"a fault of ours":      {errors.New("disk full"), 500, "INTERNAL", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.submitErr = test.err
			answer := serve(t, w, auth.DefaultLimitConfig()).do(t, "POST", "/v1/jobs", seedBody, "X-Api-Key", clientKey)
			require.Equal(t, test.status, answer.StatusCode)
			require.Equal(t, test.retry, answer.Header.Get("Retry-After"))
			reason, _ := readFault(t, answer)
			require.Equal(t, test.reason, reason)
		})
	}
}

func TestABodyOverTheLimit(t *testing.T) {
	t.Parallel()
	body := `{"prompt":"` + strings.Repeat("x", 2<<20) + `"}`
	answer := serve(t, newWorld(), auth.DefaultLimitConfig()).do(t, "POST", "/v1/jobs", body, "X-Api-Key", clientKey)
	require.Equal(t, 413, answer.StatusCode)
	reason, _ := readFault(t, answer)
	require.Equal(t, "BODY_TOO_LARGE", reason)
}

func TestABodyIsNotReadWithoutAKey(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 2<<20) // read, it would be over the limit
	answer := serve(t, newWorld(), auth.DefaultLimitConfig()).do(t, "POST", "/v1/jobs", body)
	require.Equal(t, 401, answer.StatusCode)
	answer = serve(t, newWorld(), auth.DefaultLimitConfig()).do(t, "POST", "/v1/jobs", body, "X-Api-Key", "guess")
	require.Equal(t, 401, answer.StatusCode)
}

func TestTooManyCallsWithOneKey(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.LimitConfig{PerSecond: 0.1, Burst: 2, Keys: 10})
	for range 2 {
		require.Equal(t, 200, p.do(t, "GET", "/v1/models", "", "X-Api-Key", clientKey).StatusCode)
	}
	answer := p.do(t, "GET", "/v1/models", "", "X-Api-Key", clientKey)
	require.Equal(t, 429, answer.StatusCode)
	require.Equal(t, "10", answer.Header.Get("Retry-After"))
	reason, _ := readFault(t, answer)
	require.Equal(t, "RATE_LIMITED", reason)
	require.Equal(t, 200, p.do(t, "GET", "/v1/models", "", "X-Api-Key", strangerKey).StatusCode, "another key has a bucket of its own")
}

func TestAPanicIsAnsweredWithoutItsText(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.panics = true
	answer := serve(t, w, auth.DefaultLimitConfig()).do(t, "POST", "/v1/jobs", seedBody, "X-Api-Key", clientKey)
	require.Equal(t, 500, answer.StatusCode)
	id := answer.Header.Get("X-Request-Id")
	require.NotEmpty(t, id)
	text := readAll(t, answer)
	require.Contains(t, text, id)
	require.NotContains(t, text, "secret")
}

func TestPathsThatAreNoCalls(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	answer := p.do(t, "GET", "/healthz", "")
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, "{\"status\":\"serving\"}\n", readAll(t, answer))
	answer = p.do(t, "GET", "/openapi.json", "")
	require.Equal(t, 200, answer.StatusCode)
	var document struct {
		Paths map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal([]byte(readAll(t, answer)), &document))
	require.Contains(t, document.Paths, "/v1/jobs/{job_id}")
	answer = p.do(t, "POST", "/healthz", "")
	require.Equal(t, 404, answer.StatusCode)
}

func TestAQuoteSaysWhetherAJobIsPossible(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	answer := p.do(t, "POST", "/v1/quotes", `{"model":"tiny","max_price":"1aitbc"}`, "X-Api-Key", clientKey)
	require.JSONEq(t, `{"possible":true,"reason":"","message":"","max_price":"6aitbc","price_per_second":"0.02aitbc","execution_limit":"300s",
		"estimated_cost":"0.25aitbc","queue":{"position":3,"estimated_wait":"1.500s"},"eligible_miners":2,"available":"3aitbc"}`, readAll(t, answer))
	answer = p.do(t, "POST", "/v1/quotes", `{"model":"absent"}`, "X-Api-Key", clientKey)
	require.Contains(t, readAll(t, answer), `"possible":false,"reason":"MODEL_NOT_FOUND"`)
	require.Equal(t, 400, p.do(t, "POST", "/v1/quotes", `{"model":"tiny","max_price":"much"}`, "X-Api-Key", clientKey).StatusCode)
	require.Equal(t, 400, p.do(t, "POST", "/v1/quotes", `{}`, "X-Api-Key", clientKey).StatusCode)
}
