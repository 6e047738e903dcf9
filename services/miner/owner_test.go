package miner_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/miner"
	"github.com/aitbc/aitbc/services/miner/internal/executor/ollamafake"
)

func TestTheOwnerOfTheStateFolderMayDrain(t *testing.T) {
	var state string
	r := start(t, func(c *miner.Config) { state = c.StateDir })
	r.awaitConnected(t)
	code, _ := r.call(t, http.MethodPost, "/v1/drain", "", "{}")
	require.Equal(t, http.StatusUnauthorized, code)
	key, err := miner.OwnerKey(state)
	require.NoError(t, err)
	code, answer := r.call(t, http.MethodPost, "/v1/drain", key, "{}")
	require.Equal(t, http.StatusOK, code)
	require.Zero(t, answer["running"])
	// start's cleanup requires that Run ends without an error; here it ends by itself.
	require.Eventually(t, func() bool {
		return r.do(t.Context(), http.MethodGet, "/v1/status", "", "").err != nil
	}, time.Minute, 5*time.Millisecond)
}

func TestABenchmarkStopsWhereMoreBringsNothing(t *testing.T) {
	fake := ollamafake.Start(t)
	var levels []miner.Level
	slots, err := miner.Benchmark(t.Context(), fake.URL().String(), ollamafake.Model, 4, func(l miner.Level) { levels = append(levels, l) })
	require.NoError(t, err)
	require.Positive(t, slots)
	require.Equal(t, 1, levels[0].Parallel)
	require.Positive(t, levels[0].TokensPerSecond)
	require.Positive(t, levels[0].EachPerSecond)
	_, err = miner.Benchmark(t.Context(), fake.URL().String(), "nobody-has-this", 4, func(miner.Level) {})
	require.Error(t, err)
}

func TestTheDoctorNamesARemedyForAllThatIsWrong(t *testing.T) {
	fake := ollamafake.Start(t)
	cfg := miner.DefaultConfig()
	cfg.StateDir, cfg.EngineURL = t.TempDir(), fake.URL().String()
	cfg.Coordinators = []string{"127.0.0.1:1"}
	cfg.Ledger = "127.0.0.1:1"
	cfg.Models = []string{ollamafake.Model, "absent"}
	found := map[string]miner.Check{}
	for _, c := range miner.Diagnose(t.Context(), cfg) {
		found[c.Name] = c
		if !c.OK {
			require.NotEmpty(t, c.Remedy, c.Name)
			require.NotEmpty(t, c.Detail, c.Name)
		}
	}
	require.True(t, found["state folder"].OK)
	require.True(t, found["key"].OK)
	require.True(t, found["engine"].OK)
	require.False(t, found["models"].OK)
	require.Contains(t, found["models"].Remedy, "ollama pull absent")
	require.False(t, found["ledger"].OK)
	require.False(t, found["coordinator 127.0.0.1:1"].OK)

	cfg.Pull = []string{"absent:latest"}
	for _, c := range miner.Diagnose(t.Context(), cfg) {
		if c.Name == "models" {
			require.True(t, c.OK, c.Detail)
			require.Contains(t, c.Detail, "pulls absent:latest")
		}
	}

	cfg.EngineURL, cfg.StateDir = "http://127.0.0.1:1", filepath.Join(t.TempDir(), "new")
	for _, c := range miner.Diagnose(t.Context(), cfg) {
		if c.Name == "engine" {
			require.False(t, c.OK)
			require.Contains(t, c.Remedy, "ollama serve")
		}
	}
	cfg.Slots = 0
	require.Equal(t, "configuration", miner.Diagnose(t.Context(), cfg)[0].Name)
}
