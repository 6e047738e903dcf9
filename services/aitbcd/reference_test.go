package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/internal/config"
)

const referencePath = "../../docs/configuration.md"

// TestConfigurationReferenceIsFresh writes the page anew when AITBC_UPDATE_DOCS is set.
func TestConfigurationReferenceIsFresh(t *testing.T) {
	// The state folder's default depends on the machine.
	t.Setenv("XDG_STATE_HOME", "$XDG_STATE_HOME")
	var page strings.Builder
	page.WriteString("# Configuration\n\nGenerated from the programs' flags by `AITBC_UPDATE_DOCS=1 go test ./services/aitbcd`. Each setting is a flag, an environment variable\n" +
		"and a key of the YAML file that `--config` names; the flag wins over the environment, that over the file.\n")
	describe(&page, newRoot())
	if os.Getenv("AITBC_UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(referencePath, []byte(page.String()), 0o644))
	}
	committed, err := os.ReadFile(referencePath)
	require.NoError(t, err)
	require.Equal(t, string(committed), page.String(), "run AITBC_UPDATE_DOCS=1 go test ./services/aitbcd")
}

func describe(page *strings.Builder, cmd *cobra.Command) {
	if cmd.Runnable() {
		page.WriteString("\n## " + cmd.CommandPath() + "\n\n" + cmd.Short + ".\n\n" + config.Reference(cmd.Flags()))
	}
	for _, child := range cmd.Commands() {
		describe(page, child)
	}
}

func TestTheDevelopmentNetworkHasNoFlagTwice(t *testing.T) {
	t.Parallel()
	// Flags of three services meet in one set; cobra panics when two have one name.
	require.NotPanics(t, func() { newDev() })
}
