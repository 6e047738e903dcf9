package aitbc_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Who embeds the SDK pays for these modules and no others. After a wanted change:
//
//	go test ./clients/go -run TestImportClosure -update
func TestImportClosure(t *testing.T) {
	t.Parallel()
	const file = "testdata/imports.txt"
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	out, err := command.Output()
	require.NoError(t, err)
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	got := strings.Join(slices.Compact(modules), "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
	require.NotRegexp(t, `cometbft|pgx|sqlite|ollama|cobra|testify`, got)
}

var update = flag.Bool("update", false, "write the golden files anew")

func TestReasonsAreTheContracts(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("error.go")
	require.NoError(t, err)
	words := regexp.MustCompile(`Reason = "([A-Z_]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(words), 10)
	for _, word := range words {
		if word[1] != "UNREACHABLE" { // this package's own
			require.Contains(t, coordinatorv1.ErrorReason_value, "ERROR_REASON_"+word[1])
		}
	}
}

// docs/signing.md is read by people who write other implementations.
func TestSigningDocsHoldTheVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/signing.md")
	require.NoError(t, err)
	doc := strings.ReplaceAll(string(text), "` `", "")
	file := readVectors(t)
	for _, v := range file.Vectors {
		tag := "`aitbc/" + strings.Replace(v.Kind, "transaction", "tx", 1) + "/v1`"
		require.Contains(t, doc, tag)
		if v.Kind == "acceptance" && v.Name == "12.5 seconds" {
			require.Contains(t, doc, v.Hash)
			require.Contains(t, doc, v.Signature)
			require.Contains(t, doc, file.Keys[v.Signer].Seed)
			var shown strings.Builder
			for _, row := range regexp.MustCompile("(?m)^\\| `([0-9a-f]{8,})` \\|").FindAllStringSubmatch(doc, -1) {
				shown.WriteString(row[1])
			}
			require.Equal(t, v.SigningBytes, shown.String())
		}
	}
}
