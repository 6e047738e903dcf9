package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

func asAdmin(more ...string) []string { return append([]string{"X-Api-Key", adminKey}, more...) }

// makeKey makes a client's key by REST and gives the answer.
func makeKey(t *testing.T, rest string, wish map[string]any, headers ...string) answerOf {
	t.Helper()
	a := callAt(t, "http://"+rest, http.MethodPost, "/v1/keys", wish, asAdmin(headers...)...)
	require.Equal(t, http.StatusOK, a.Status, "%v", a.Body)
	return a
}

func keyOf(a answerOf, field string) string {
	key, _ := a.Body["key"].(map[string]any)
	text, _ := key[field].(string)
	return text
}

// spentToday reads what a key's line has spent, from the list.
func spentToday(t *testing.T, n *network.Network, id string) aitbc.Amount {
	t.Helper()
	list := call(t, n, http.MethodGet, "/v1/keys", nil, asAdmin()...)
	require.Equal(t, http.StatusOK, list.Status)
	for _, item := range list.Body["keys"].([]any) {
		if key := item.(map[string]any); key["key_id"] == id {
			spent, err := aitbc.ParseAmount(key["spent_today"].(string))
			require.NoError(t, err)
			return spent
		}
	}
	require.Fail(t, "no such key in the list", id)
	return 0
}

func TestAKeyMaySpendSoMuchADay(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	made := makeKey(t, n.CoordinatorREST, map[string]any{"fund": "20aitbc", "models": []string{"tiny"}, "spend_per_day": "2aitbc"})
	id := keyOf(made, "key_id")
	as := []string{"X-Api-Key", made.text("secret")}

	refused := call(t, n, http.MethodPost, "/v1/jobs", seedJob(), as...) // which may cost 6 coins
	require.Equal(t, http.StatusTooManyRequests, refused.Status)
	require.Equal(t, "SPEND_LIMIT", refused.reason())
	require.Equal(t, "max_price", refused.violation())
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	cheap := seedJob()
	awaitDay(2 * time.Minute)
	cheap["max_price"] = "1.5aitbc"
	taken := call(t, n, http.MethodPost, "/v1/jobs", cheap, as...)
	require.Equal(t, http.StatusOK, taken.Status, "%v", taken.Body)
	require.NotEmpty(t, taken.text("available"))
	var cost aitbc.Amount
	eventually(t, "the job to be paid", func() bool {
		job := call(t, n, http.MethodGet, "/v1/jobs/"+taken.text("job_id"), nil, as...)
		if job.text("status") != "completed" {
			return false
		}
		cost = amount(t, job.text("cost"))
		return true
	})
	require.Equal(t, cost, spentToday(t, n, id), "what the job did not use is given back")
	require.Positive(t, cost)

	n.Kill()
	require.NoError(t, n.Restart(t.Context()))
	require.Equal(t, cost, spentToday(t, n, id), "a restart forgets nothing")

	other := seedJob()
	other["model"] = "another"
	notAllowed := call(t, n, http.MethodPost, "/v1/jobs", other, as...)
	require.Equal(t, http.StatusForbidden, notAllowed.Status)
	require.Equal(t, "MODEL_NOT_ALLOWED", notAllowed.reason())
	require.Equal(t, "model", notAllowed.violation())
	other["model"], other["priority"] = "tiny", "high"
	notAllowed = call(t, n, http.MethodPost, "/v1/jobs", other, as...)
	require.Equal(t, http.StatusForbidden, notAllowed.Status)
	require.Equal(t, "PRIORITY_NOT_ALLOWED", notAllowed.reason())
	require.Equal(t, "priority", notAllowed.violation())
	other["priority"] = "urgent"
	notAllowed = call(t, n, http.MethodPost, "/v1/jobs", other, as...)
	require.Equal(t, http.StatusBadRequest, notAllowed.Status)
	require.Equal(t, "priority", notAllowed.violation())
	body := chatBody(nil)
	tooDear := callAt(t, "http://"+n.CoordinatorREST, http.MethodPost, "/v1/chat/completions", body, "Authorization", "Bearer "+made.text("secret"))
	require.Equal(t, http.StatusTooManyRequests, tooDear.Status, "%v", tooDear.Body)
	require.Equal(t, "SPEND_LIMIT", at(t, tooDear.Body, "error", "reason"))
	require.Equal(t, "max_price", at(t, tooDear.Body, "error", "param"))
	require.Equal(t, "false", tooDear.Header.Get("X-Should-Retry"), "tomorrow is too far")
	require.Equal(t, "insufficient_quota", at(t, tooDear.Body, "error", "code"))
	client, err := aitbc.New(n.CoordinatorGRPC, aitbc.WithAPIKey(made.text("secret")))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	_, err = client.Submit(t.Context(), aitbc.SubmitRequest{Prompt: question, Model: "tiny"})
	var failure *aitbc.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, aitbc.ReasonSpendLimit, failure.Reason)
	require.Equal(t, "2aitbc", failure.Metadata["spend_per_day"])
}

func TestAKeyIsRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	made := makeKey(t, n.CoordinatorREST, map[string]any{"fund": "10aitbc"}, "Idempotency-Key", "once")
	works := func(secret string) bool {
		return call(t, n, http.MethodGet, "/v1/jobs", nil, "X-Api-Key", secret).Status == http.StatusOK
	}
	require.True(t, works(made.text("secret")))
	again := makeKey(t, n.CoordinatorREST, map[string]any{"fund": "10aitbc"}, "Idempotency-Key", "once")
	require.Equal(t, made.Body, again.Body)
	require.Equal(t, "10aitbc", call(t, n, http.MethodGet, "/v1/account", nil, "X-Api-Key", made.text("secret")).text("balance"), "sent once")
	other := call(t, n, http.MethodPost, "/v1/keys", map[string]any{"fund": "11aitbc"}, asAdmin("Idempotency-Key", "once")...)
	require.Equal(t, http.StatusConflict, other.Status)
	require.Equal(t, "IDEMPOTENCY_MISMATCH", other.reason())

	n.Kill()
	require.NoError(t, n.Restart(t.Context()))
	again = makeKey(t, n.CoordinatorREST, map[string]any{"fund": "10aitbc"}, "Idempotency-Key", "once")
	require.Equal(t, made.text("secret"), again.text("secret"), "after a restart")
	store, err := os.ReadFile(filepath.Join(filepath.Dir(n.LogFile()), "coordinator.db"))
	require.NoError(t, err)
	log, err := os.ReadFile(n.LogFile())
	require.NoError(t, err)
	require.NotContains(t, string(store), made.text("secret"), "kept nowhere")
	require.NotContains(t, string(log), made.text("secret"), "logged nowhere")

	id := keyOf(made, "key_id")
	rotated := call(t, n, http.MethodPost, "/v1/keys/"+id+":rotate", map[string]any{"grace": "3600s"}, asAdmin("Idempotency-Key", "then")...)
	require.Equal(t, http.StatusOK, rotated.Status, "%v", rotated.Body)
	repeat := call(t, n, http.MethodPost, "/v1/keys/"+id+":rotate", map[string]any{"grace": "3600s"}, asAdmin("Idempotency-Key", "then")...)
	require.Equal(t, rotated.text("secret"), repeat.text("secret"))
	require.True(t, works(made.text("secret")), "both live for a while")
	require.True(t, works(rotated.text("secret")))

	environment := []string{"AITBC_URL=http://" + n.CoordinatorREST, "AITBC_API_KEY=" + adminKey, "HOME=" + t.TempDir()}
	out := execute(t, environment, filepath.Join(programs, "aitbc"), "keys", "revoke", id)
	require.Zero(t, out.Code, out.Stderr)
	require.False(t, works(made.text("secret")), "at once")
	require.True(t, works(rotated.text("secret")))
	out = execute(t, environment, filepath.Join(programs, "aitbc"), "keys", "list")
	require.Contains(t, out.Stdout, "revoked")
	require.NotContains(t, out.Stdout, rotated.text("secret"))
}

func TestAnyReplicaMakesTheSameKey(t *testing.T) {
	t.Parallel()
	n, r := withReplica(t)
	keys := filepath.Join(filepath.Dir(r.logFile), "keys")
	wish := map[string]any{"fund": "10aitbc", "spend_per_day": "2aitbc"}
	made := makeKey(t, n.CoordinatorREST, wish, "Idempotency-Key", "once")
	shared, err := os.ReadFile(filepath.Join(filepath.Dir(n.LogFile()), "keys", "custody.key"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(keys, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(keys, "custody.key"), shared, 0o600))
	again := makeKey(t, r.rest, wish, "Idempotency-Key", "once")
	require.Equal(t, made.text("secret"), again.text("secret"))

	faucet := callAt(t, "http://"+r.rest, http.MethodPost, "/v1/faucet", map[string]any{"account_id": keyOf(made, "account_id")})
	require.Equal(t, "ROUTE_NOT_FOUND", faucet.reason(), "an ordinary coordinator has none")
	job := seedJob()
	job["max_price"] = "1.5aitbc"
	as := []string{"X-Api-Key", made.text("secret")}
	taken := callAt(t, "http://"+n.CoordinatorREST, http.MethodPost, "/v1/jobs", job, append(as, "Idempotency-Key", "job")...)
	require.Equal(t, http.StatusOK, taken.Status, "%v", taken.Body)
	repeat := callAt(t, "http://"+r.rest, http.MethodPost, "/v1/jobs", job, append(as, "Idempotency-Key", "job")...)
	require.Equal(t, taken.text("job_id"), repeat.text("job_id"))
	job["prompt"] = "another"
	mismatch := callAt(t, "http://"+r.rest, http.MethodPost, "/v1/jobs", job, append(as, "Idempotency-Key", "job")...)
	require.Equal(t, "IDEMPOTENCY_MISMATCH", mismatch.reason())
	job["max_price"] = "2.1aitbc"
	refused := callAt(t, "http://"+r.rest, http.MethodPost, "/v1/jobs", job, as...)
	require.Equal(t, "SPEND_LIMIT", refused.reason())
}

// awaitDay waits for the next day, of UTC, when so much of this one is not left.
func awaitDay(left time.Duration) {
	if now := time.Now(); now.Add(left).Truncate(24*time.Hour) != now.Truncate(24*time.Hour) {
		<-time.After(now.Add(left).Truncate(24 * time.Hour).Sub(now))
	}
}
