package lint

import (
	"path"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/aitbc/aitbc/"

// layer says which of the project's own folders the packages under a folder may import besides
// themselves. The first matching row counts.
var layers = []struct {
	under string
	may   []string
}{
	{"clients/go/", []string{"gen/"}},
	{"clients/aitbc/", []string{"gen/", "clients/go/"}},
	{"services/internal/", []string{"gen/", "clients/go/"}},
	{"services/coordinator/", []string{"gen/", "clients/go/", "services/internal/"}},
	{"services/miner/", []string{"gen/", "clients/go/", "services/internal/"}},
	{"services/ledger/", []string{"gen/", "clients/go/", "services/internal/"}},
	{"services/aitbcd/", []string{"gen/", "clients/go/", "services/"}},
	{"tools/chaos/checker/", nil}, // it must not share a fault with what it checks
	{"tools/", []string{"gen/", "clients/", "services/", "tools/"}},
}

// A service's tests may run against a real engine, with the project's model, and a real database.
var testsMay = []string{"tools/engine/", "tools/postgres/", "tools/tinymodel/model/"}

func TestLayersImportDownwardsOnly(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		dir := path.Dir(f.path) + "/"
		for _, layer := range layers {
			if !strings.HasPrefix(dir, layer.under) {
				continue
			}
			may := append([]string{layer.under}, layer.may...)
			if f.isTest() {
				may = append(may, testsMay...)
			}
			for _, imported := range projectImports(f) {
				if !startsWithAny(imported+"/", may) {
					t.Errorf("%s must not import %s", f.path, imported)
				}
			}
			break
		}
	}
}

// Domain packages know nothing of transports and databases.
func TestDomainPackagesAreFreeOfDrivers(t *testing.T) {
	t.Parallel()
	domains := []string{
		"services/coordinator/internal/job", "services/coordinator/internal/scheduler", "services/ledger/internal/state",
	}
	forbidden := []string{
		"database/sql", "net/http", "google.golang.org/grpc", "modernc.org/", "github.com/cometbft/cometbft/", "log/slog", "os",
	}
	for _, f := range sources(t) {
		if f.isTest() || !startsWithAny(path.Dir(f.path), domains) {
			continue
		}
		for _, imported := range allImports(f) {
			if startsWithAny(imported, forbidden) && imported != "github.com/cometbft/cometbft/abci/types" {
				t.Errorf("%s must not import %s", f.path, imported)
			}
		}
	}
}

// Test helpers are never linked into the programs.
func TestProgramsLinkNoTestHelpers(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		dir := path.Dir(f.path)
		if f.isTest() || helpsTests(dir) || strings.HasPrefix(dir, "tools/") {
			continue
		}
		for _, imported := range allImports(f) {
			own, isOwn := strings.CutPrefix(imported, module)
			if imported == "testing" || strings.HasPrefix(imported, "github.com/stretchr/testify") || isOwn && helpsTests(own) {
				t.Errorf("%s must not import %s", f.path, imported)
			}
		}
	}
}

// helpsTests says whether the package in dir exists for tests: its name says so.
func helpsTests(dir string) bool {
	return strings.HasSuffix(dir, "test") || strings.HasSuffix(dir, "fake")
}

func projectImports(f file) []string {
	var own []string
	for _, imported := range allImports(f) {
		if rel, ok := strings.CutPrefix(imported, module); ok {
			own = append(own, rel)
		}
	}
	return own
}

func allImports(f file) []string {
	var imports []string
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			imports = append(imports, imported)
		}
	}
	return imports
}

func startsWithAny(s string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
