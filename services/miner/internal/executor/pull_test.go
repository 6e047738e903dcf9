package executor_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// pulled gives what a pull of the model makes of a server's answer, and what the server was asked for.
func pulled(t *testing.T, model, answer string) (done, total int64, asked string, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	engine := executor.New(base)
	defer engine.Close()
	err = engine.Pull(t.Context(), model, func(d, all int64) { done, total = d, all })
	return done, total, asked, err
}

func TestAPullAddsItsLayersUp(t *testing.T) {
	t.Parallel()
	done, total, asked, err := pulled(t, "m:1", `{"status":"pulling manifest"}
{"status":"pulling a","digest":"sha256:a","total":100}
{"status":"pulling a","digest":"sha256:a","total":100,"completed":100}
{"status":"pulling b","digest":"sha256:b","total":10,"completed":5}
{"status":"success"}
`)
	require.NoError(t, err)
	require.EqualValues(t, 105, done)
	require.EqualValues(t, 110, total)
	require.Contains(t, asked, `"model":"m:1"`)
}

func TestAPullThatIsCutOrRefusedIsAnError(t *testing.T) {
	t.Parallel()
	_, _, _, err := pulled(t, "m:1", `{"status":"pulling manifest"}`+"\n")
	require.ErrorContains(t, err, "ended before the model was there")
	_, _, _, err = pulled(t, "m:1", `{"error":"pull model manifest: file does not exist"}`+"\n")
	require.ErrorContains(t, err, "file does not exist")
}

func TestOnlyARegistryOnLoopbackIsSpokenToInPlaintext(t *testing.T) {
	t.Parallel()
	for model, insecure := range map[string]bool{
		"127.0.0.1:5000/library/m:1": true, "localhost:5000/library/m:1": true, "[::1]:5000/library/m:1": true,
		"m:1": false, "me/m:1": false, "hub.example:5000/library/m:1": false, "10.0.0.1:5000/library/m:1": false,
	} {
		_, _, asked, err := pulled(t, model, `{"status":"success"}`+"\n")
		require.NoError(t, err)
		if insecure {
			require.Contains(t, asked, `"insecure":true`, model)
		} else {
			require.NotContains(t, asked, `"insecure":true`, model)
		}
	}
}
