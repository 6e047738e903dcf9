// Package site serves what people and programs read before they call: the OpenAPI document with the
// routes that no contract has, a page to browse it (Swagger UI, embedded: nothing is fetched from
// elsewhere), and llms.txt. Start reading at New.
package site

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/aitbc/aitbc/gen/openapi"
)

//go:embed asset
var assets embed.FS

// extra is the part of the OpenAPI document that follows from no contract: hand-written routes.
//
//go:embed routes.json
var extra []byte

// policy lets the page load its own parts and call its own server, and nothing else. Swagger UI sets
// styles in its elements and draws pictures from data URLs.
const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

// Site serves the pages.
type Site struct{ pages map[string]page }

var _ http.Handler = (*Site)(nil)

type page struct {
	content []byte
	kind    string
	packed  bool // gzip; every browser takes it
}

// New reads the pages and puts the OpenAPI document together.
func New() (*Site, error) {
	document, err := document()
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	s := &Site{pages: map[string]page{"/openapi.json": {content: document, kind: "application/json"}}}
	for path, asset := range map[string]page{
		"/docs":                      {kind: "text/html; charset=utf-8", content: []byte("index.html")},
		"/docs/start.js":             {kind: "text/javascript; charset=utf-8", content: []byte("start.js")},
		"/docs/favicon.png":          {kind: "image/png", content: []byte("favicon.png")},
		"/docs/swagger-ui.css":       {kind: "text/css; charset=utf-8", content: []byte("swagger-ui.css.gz"), packed: true},
		"/docs/swagger-ui-bundle.js": {kind: "text/javascript; charset=utf-8", content: []byte("swagger-ui-bundle.js.gz"), packed: true},
		"/llms.txt":                  {kind: "text/plain; charset=utf-8", content: []byte("llms.txt")},
	} {
		if asset.content, err = assets.ReadFile("asset/" + string(asset.content)); err != nil {
			return nil, fmt.Errorf("page %s: %w", path, err)
		}
		s.pages[path] = asset
	}
	return s, nil
}

// Serves reports whether there is such a page.
func (s *Site) Serves(path string) bool {
	_, ok := s.pages[clean(path)]
	return ok
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := s.pages[clean(r.URL.Path)]
	header := w.Header()
	header.Set("Content-Type", p.kind)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", policy)
	header.Set("Cache-Control", "no-cache")
	if p.packed {
		header.Set("Content-Encoding", "gzip")
		header.Set("Cache-Control", "max-age=3600")
	}
	// A caller that is gone cannot be told.
	_, _ = w.Write(p.content)
}

func clean(path string) string {
	if path == "/docs/" {
		return "/docs"
	}
	return path
}

// document is the generated document with the hand-written routes.
func document() ([]byte, error) {
	type paths = map[string]map[string]json.RawMessage
	var whole, more map[string]json.RawMessage
	var generated, written paths
	var definitions, described map[string]json.RawMessage
	for _, part := range []struct {
		text []byte
		into any
	}{
		{[]byte(openapi.Coordinator), &whole},
		{extra, &more},
	} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return nil, err
		}
	}
	for _, part := range []struct {
		text []byte
		into any
	}{
		{whole["paths"], &generated},
		{more["paths"], &written},
		{whole["definitions"], &definitions},
		{more["definitions"], &described},
	} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return nil, err
		}
	}
	for path := range written {
		if _, twice := generated[path]; twice {
			return nil, fmt.Errorf("%s is written by hand and in the contract", path)
		}
	}
	maps.Copy(generated, written)
	maps.Copy(definitions, described)
	var err error
	if whole["paths"], err = json.Marshal(generated); err != nil {
		return nil, err
	}
	if whole["definitions"], err = json.Marshal(definitions); err != nil {
		return nil, err
	}
	text, err := json.Marshal(whole)
	return []byte(strings.TrimSpace(string(text)) + "\n"), err
}
