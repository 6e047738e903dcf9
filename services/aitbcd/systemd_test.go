package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheUnitStartsAMinerThatMayDrain holds the unit to the program: its flags must exist, and systemd
// must wait for longer than the miner drains.
func TestTheUnitStartsAMinerThatMayDrain(t *testing.T) {
	text, err := os.ReadFile("systemd/aitbc-miner.service")
	require.NoError(t, err)
	settings := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			settings[name] = value
		}
	}
	words := strings.Fields(settings["ExecStart"])
	require.Equal(t, "/usr/local/bin/aitbcd", words[0])
	cmd, flags, err := newRoot().Find(words[1:])
	require.NoError(t, err)
	require.Equal(t, "miner", cmd.Name())
	require.NoError(t, cmd.ParseFlags(flags))
	require.Empty(t, cmd.Flags().Args())
	drain, err := cmd.Flags().GetDuration("drain-timeout")
	require.NoError(t, err)
	patience, err := time.ParseDuration(settings["TimeoutStopSec"] + "s")
	require.NoError(t, err)
	require.Greater(t, patience, drain+3*time.Second, "a miner that drains must not be killed")
	require.Equal(t, "SIGTERM", settings["KillSignal"])
}
