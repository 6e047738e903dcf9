package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the project's root, from this package's folder.
const root = "../.."

// file is one hand-written Go source file.
type file struct {
	path  string // from the project's root, with slashes
	set   *token.FileSet
	ast   *ast.File
	lines int
}

func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// sources parses every hand-written Go file of the project.
func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(filepath.Clean(path), filepath.Clean(root)+string(filepath.Separator)))
		if entry.IsDir() && (rel == "gen" || rel == "bin" || rel == ".git" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(rel, ".go") {
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, file{rel, set, parsed, set.File(parsed.Pos()).LineCount()})
		return nil
	}))
	require.Greater(t, len(files), 50, "the walk found too little to mean anything")
	return files
}
