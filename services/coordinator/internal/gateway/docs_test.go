package gateway_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/gateway"
	"github.com/aitbc/aitbc/services/coordinator/internal/openai"
)

// operation is what the tests read of the OpenAPI document.
type operation struct {
	Summary     string
	OperationID string
	Tags        []string
}

func openAPI(t *testing.T, p *port) map[string]map[string]operation {
	t.Helper()
	answer := p.do(t, http.MethodGet, "/openapi.json", "")
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	var document struct {
		Paths       map[string]map[string]operation
		Definitions map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &document))
	for _, used := range regexp.MustCompile(`"#/definitions/([A-Za-z0-9_.]+)"`).FindAllStringSubmatch(string(text), -1) {
		require.Contains(t, document.Definitions, used[1])
	}
	return document.Paths
}

// The document is held against the running server in both directions.
func TestTheOpenAPIDocumentIsTheServers(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	paths := openAPI(t, p)

	for _, route := range p.handler.(*gateway.Handler).Routes() {
		path := regexp.MustCompile(`=\*+\}`).ReplaceAllString(route.Pattern, "}")
		require.Contains(t, paths, path, route.Method)
		require.Contains(t, paths[path], strings.ToLower(route.Verb), route.Method)
	}
	for _, path := range append(openai.Paths(), "/healthz", "/docs", "/llms.txt", "/openapi.json") {
		require.Contains(t, paths, path)
	}
	for path, operations := range paths {
		for verb, operation := range operations {
			require.NotEmpty(t, operation.Summary, path)
			require.NotEmpty(t, operation.OperationID, path)
			require.NotEmpty(t, operation.Tags, path)
			asked := regexp.MustCompile(`\{[a-z_]+\}`).ReplaceAllString(path, jobID.String())
			answer := p.do(t, strings.ToUpper(verb), asked, "", "X-Api-Key", clientKey)
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.NotContains(t, string(text), "ROUTE_NOT_FOUND", "%s %s", verb, path)
		}
	}
}

func TestThePageOfTheDocumentHasAllItNeeds(t *testing.T) {
	t.Parallel()
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	answer := p.do(t, http.MethodGet, "/docs", "")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Contains(t, answer.Header.Get("Content-Security-Policy"), "default-src 'self'")
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NotContains(t, string(text), "://", "nothing comes from elsewhere")
	parts := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, parts, 5)
	for _, part := range parts {
		answer := p.do(t, http.MethodGet, part[1], "", "Accept-Encoding", "gzip")
		require.Equal(t, http.StatusOK, answer.StatusCode, part[1])
		if answer.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(answer.Body)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, unpacked)
			require.NoError(t, err)
		}
	}
}
