package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func TestTreeFollowsWhatWasGenerated(t *testing.T) {
	t.Parallel()
	type finding struct {
		kind changeKind
		name string
	}
	for name, test := range map[string]struct {
		want, have map[string]string
		findings   []finding
	}{
		"nothing changed": {
			want: map[string]string{"v1/a.go": "a"},
			have: map[string]string{"v1/a.go": "a"},
		},
		"first run in an empty tree": {
			want:     map[string]string{"v1/a.go": "a"},
			findings: []finding{{added, "v1/a.go"}},
		},
		"a contract was edited": {
			want:     map[string]string{"v1/a.go": "new", "v1/b.go": "b"},
			have:     map[string]string{"v1/a.go": "old", "v1/b.go": "b"},
			findings: []finding{{edited, "v1/a.go"}},
		},
		"a contract was renamed": {
			want:     map[string]string{"v2/a.go": "a"},
			have:     map[string]string{"v1/a.go": "a"},
			findings: []finding{{removed, "v1/a.go"}, {added, "v2/a.go"}},
		},
		"an empty file is not an absent one": {
			want:     map[string]string{"empty.go": ""},
			findings: []finding{{added, "empty.go"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, have := writeFiles(t, test.want), writeFiles(t, test.have)
			changes, err := compare(want, have)
			require.NoError(t, err)
			var findings []finding
			for _, c := range changes {
				findings = append(findings, finding{c.kind, c.name})
			}
			require.Equal(t, test.findings, findings)

			require.NoError(t, apply(changes))
			changes, err = compare(want, have)
			require.NoError(t, err)
			require.Empty(t, changes, "a second run finds nothing to do")
		})
	}
}

func TestAFolderThatIsNotThereCountsAsEmpty(t *testing.T) {
	t.Parallel()
	have := filepath.Join(t.TempDir(), "gen", "go")
	changes, err := compare(writeFiles(t, map[string]string{"a.go": "a"}), have)
	require.NoError(t, err)
	require.NoError(t, apply(changes))
	content, err := os.ReadFile(filepath.Join(have, "a.go"))
	require.NoError(t, err)
	require.Equal(t, "a", string(content))
}
