package gateway_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

func TestAnAdminMakesKeys(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := serve(t, w, auth.DefaultLimitConfig())
	answer := p.do(t, "POST", "/v1/keys", `{"name":"shop","models":["tiny"],"spend_per_day":"2aitbc","life":"3600s","fund":"1aitbc"}`,
		"X-Api-Key", adminKey, "Idempotency-Key", "a")
	body := readAll(t, answer)
	require.Equal(t, 200, answer.StatusCode, body)
	for _, part := range []string{
		`"secret":"client_secret"`, `"key_id":"key_a"`, `"spend_per_day":"2aitbc"`, `"spent_today":"0.75aitbc"`, `"custodial":true`, `"models":["tiny:latest"]`,
	} {
		require.Contains(t, body, part)
	}
	w.created[0].Now = time.Time{}
	require.Equal(t, []custody.Request{{
		Terms: auth.Terms{Name: "shop", Scope: store.ScopeClient, Models: []string{"tiny:latest"}, SpendPerDay: 2_000_000, Life: time.Hour},
		Fund:  1_000_000, Once: custody.Once{Account: aitbc.AccountID{9}, RequestID: "a"},
	}}, w.created)

	body = readAll(t, p.do(t, "POST", "/v1/keys/key_1:rotate", `{}`, "X-Api-Key", adminKey, "Idempotency-Key", "b"))
	require.Contains(t, body, `"secret":"client_other"`)
	require.Contains(t, body, `"replaced":{"key_id":"key_1"`)
	require.Equal(t, []any{24 * time.Hour, "b"}, []any{w.rotated[0].Grace, w.rotated[0].Once.RequestID})
	readAll(t, p.do(t, "POST", "/v1/keys/key_1:rotate", `{"grace":"0s"}`, "X-Api-Key", adminKey))
	require.Zero(t, w.rotated[1].Grace)
	require.Contains(t, readAll(t, p.do(t, "POST", "/v1/keys/key_1:revoke", `{}`, "X-Api-Key", adminKey)), `"state":"revoked"`)
}

func TestOnlyAnAdminMakesKeys(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	for _, key := range [][]string{{"X-Api-Key", clientKey}, {"X-Api-Key", readerKey}, {"X-Miner-Key", theMinerKey}} {
		for _, call := range [][]string{{"POST", "/v1/keys", "{}"}, {"GET", "/v1/keys", ""}, {"POST", "/v1/keys/k:rotate", "{}"}, {"POST", "/v1/keys/k:revoke", "{}"}} {
			answer := p.do(t, call[0], call[1], call[2], key...)
			require.Equal(t, 403, answer.StatusCode)
			require.Contains(t, readAll(t, answer), "SCOPE_MISSING")
		}
	}
}

func TestFaultsInAWishForAKeyAreNamed(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	for body, field := range map[string]string{
		`{"scope":"root"}`:           "scope",
		`{"account_id":"nobody"}`:    "account_id",
		`{"models":["no spaces"]}`:   "models[0]",
		`{"spend_per_day":"0aitbc"}`: "spend_per_day",
		`{"fund":"a lot"}`:           "fund",
		`{"life":"0.5s"}`:            "life",
		`{"secret":"mine"}`:          "secret",
		`{"fund":"1aitbc","account_id":"` + client.String() + `"}`: "fund",
	} {
		answer := p.do(t, "POST", "/v1/keys", body, "X-Api-Key", adminKey)
		require.Equal(t, 400, answer.StatusCode, body)
		require.Contains(t, readAll(t, answer), `"field":"`+field+`"`, body)
	}
}

func TestAReaderReadsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.jobs[jobID] = completedJob()
	p := serve(t, w, auth.DefaultLimitConfig())
	for _, path := range []string{"/v1/jobs", "/v1/jobs/" + jobID.String(), "/v1/account", "/v1/models", "/v1/receipts/" + jobID.ReceiptID()} {
		require.Equal(t, 200, p.do(t, "GET", path, "", "X-Api-Key", readerKey).StatusCode, path)
	}
	for _, path := range []string{"/v1/jobs", "/v1/jobs/" + jobID.String() + ":cancel", "/v1/chat/completions"} {
		answer := p.do(t, "POST", path, `{}`, "X-Api-Key", readerKey)
		require.Equal(t, 403, answer.StatusCode, path)
		require.Contains(t, readAll(t, answer), "SCOPE_MISSING", path)
	}
	require.Empty(t, w.submitted)
}

func TestAKeyIsForItsModels(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := serve(t, w, auth.DefaultLimitConfig())
	for path, body := range map[string]string{
		"/v1/jobs":             `{"type":"inference","prompt":"p","model":"llama3.2"}`,
		"/v1/quotes":           `{"model":"llama3.2"}`,
		"/v1/chat/completions": `{"model":"llama3.2","messages":[{"role":"user","content":"p"}]}`,
		"/v1/completions":      `{"model":"llama3.2","prompt":"p"}`,
		"/v1/embeddings":       `{"model":"llama3.2","input":"p"}`,
	} {
		answer := p.do(t, "POST", path, body, "X-Api-Key", limitedKey)
		text := readAll(t, answer)
		require.Equal(t, 403, answer.StatusCode, path)
		require.Contains(t, text, "MODEL_NOT_ALLOWED", path)
		require.Contains(t, text, "this API key is not for the model llama3.2:latest, only for tiny:latest", path)
	}
	require.Empty(t, w.submitted)
	answer := p.do(t, "POST", "/v1/jobs", `{"type":"inference","prompt":"p","model":"tiny"}`, "X-Api-Key", limitedKey)
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, dispatch.Budget{Line: "key_first", PerDay: 5}, w.submitted[0].Budget)
}

func TestASubmissionIsAnsweredWithWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := serve(t, w, auth.DefaultLimitConfig())
	submit := func() string {
		return readAll(t, p.do(t, "POST", "/v1/jobs", `{"type":"inference","prompt":"p","model":"tiny"}`, "X-Api-Key", clientKey))
	}
	require.Contains(t, submit(), `"available":"2.5aitbc"`)
	w.free = true
	require.NotContains(t, submit(), "available", "nothing costs anything")
	w.free, w.fundsErr = false, aitbc.ErrMalformed
	answer := submit()
	require.Contains(t, answer, "job_id", "the job is there whatever is known of money")
	require.NotContains(t, answer, "available")
}

func TestTheFaucetAsksForNoKey(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	answer := p.do(t, "POST", "/v1/faucet", `{"account_id":"`+client.String()+`"}`)
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, `{"account_id":"`+client.String()+`","balance":"100aitbc","sent":"40aitbc"}`+"\n", readAll(t, answer))
	answer = p.do(t, "POST", "/v1/faucet", `{"account_id":"nobody"}`)
	require.Equal(t, 400, answer.StatusCode)
	require.Contains(t, readAll(t, answer), `"field":"account_id"`)
}
