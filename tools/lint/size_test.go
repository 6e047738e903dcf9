package lint

import (
	"go/ast"
	"path"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	maxFileLines     = 500
	maxFunctionLines = 80
)

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if f.lines > maxFileLines && !f.isTest() {
			t.Errorf("%s has %d lines, at most %d: split it by concept", f.path, f.lines, maxFileLines)
		}
		for _, declaration := range f.ast.Decls {
			fn, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1
			if lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, at most %d: split it by concept", f.path, fn.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, f := range sources(t) {
		if f.isTest() {
			continue
		}
		dir := path.Dir(f.path)
		documented[dir] = documented[dir] || f.ast.Doc != nil
	}
	require.NotEmpty(t, documented)
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

// Waiting for an instant instead of an event makes a test slow or flaky, and a skipped test is a
// test that cannot fail.
func TestNoSleepsAndNoSkipsInTests(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if !f.isTest() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			receiver, ok := call.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch receiver.Name + "." + call.Sel.Name {
			case "time.Sleep", "t.Skip", "t.Skipf", "t.SkipNow":
				t.Errorf("%s: %s.%s", f.set.Position(call.Pos()), receiver.Name, call.Sel.Name)
			}
			return true
		})
	}
}
