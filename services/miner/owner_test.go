package miner_test

import (
	"net/http"
	"os"
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
	found, err := miner.Benchmark(t.Context(), fake.URL().String(), ollamafake.Model, 4, func(l miner.Level) { levels = append(levels, l) })
	require.NoError(t, err)
	require.Positive(t, found.Slots)
	require.Equal(t, miner.Measured{Model: ollamafake.Model, Digest: ollamafake.Digest, Engine: "ollama/" + ollamafake.Version, Slots: found.Slots}, found)
	require.Equal(t, 1, levels[0].Parallel)
	require.Positive(t, levels[0].TokensPerSecond)
	require.Positive(t, levels[0].EachPerSecond)
	_, err = miner.Benchmark(t.Context(), fake.URL().String(), "nobody-has-this", 4, func(miner.Level) {})
	require.Error(t, err)
	_, err = miner.Benchmark(t.Context(), fake.URL().String(), ollamafake.Model, 0, func(miner.Level) {})
	require.ErrorContains(t, err, "most is 0")
}

func TestSlotsAreWhatWasMeasuredOfTheModelsAsTheyAre(t *testing.T) {
	right := miner.Measured{Model: ollamafake.Model, Digest: ollamafake.Digest, Engine: "ollama/" + ollamafake.Version, Slots: 3}
	other := right
	other.Model = "gone:latest"
	state := t.TempDir()
	var r *running
	requireSlots := func(slots float64) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, status := r.call(t, http.MethodGet, "/v1/status", "", "")
			return status["slots"] == slots && status["engine"] != ""
		}, time.Minute, 5*time.Millisecond)
	}
	require.NoError(t, other.Keep(state))
	require.NoError(t, right.Keep(state))
	r = start(t, func(c *miner.Config) { c.StateDir, c.RefreshInterval = state, 5*time.Millisecond })
	requireSlots(3)
	for name, change := range map[string]func(*miner.Measured){
		"another engine": func(m *miner.Measured) { m.Engine = "ollama/0.1.0" },
		"another digest": func(m *miner.Measured) { m.Digest = other.Model },
	} {
		stale := right
		change(&stale)
		require.NoError(t, stale.Keep(state), name)
		requireSlots(1)
		require.NoError(t, right.Keep(state))
		requireSlots(3)
	}
	require.NoError(t, os.WriteFile(filepath.Join(state, "benchmarks.json"), []byte("{"), 0o600))
	requireSlots(1)
	require.ErrorContains(t, right.Keep(state), "delete it and measure again")
}

func TestSlotsThatAreGivenHold(t *testing.T) {
	state := t.TempDir()
	require.NoError(t, miner.Measured{Model: ollamafake.Model, Digest: ollamafake.Digest, Engine: "ollama/" + ollamafake.Version, Slots: 3}.Keep(state))
	r := start(t, func(c *miner.Config) { c.StateDir, c.Slots = state, 2 })
	r.awaitConnected(t)
	_, status := r.call(t, http.MethodGet, "/v1/status", "", "")
	require.EqualValues(t, 2, status["slots"])
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
	require.Contains(t, found["slots"].Detail, "not measured as they are now")
	require.Contains(t, found["slots"].Detail, ollamafake.Model)
	require.False(t, found["ledger"].OK)
	require.False(t, found["coordinator 127.0.0.1:1"].OK)

	cfg.Pull = []string{"absent:latest"}
	for _, c := range miner.Diagnose(t.Context(), cfg) {
		if c.Name == "models" {
			require.True(t, c.OK, c.Detail)
			require.Contains(t, c.Detail, "pulls absent:latest")
		}
	}

	cfg.MemoryReserve = 1 << 60
	for _, c := range miner.Diagnose(t.Context(), cfg) {
		if c.Name == "memory reserve" {
			found[c.Name] = c
		}
	}
	require.False(t, found["memory reserve"].OK)
	require.Contains(t, found["memory reserve"].Detail, ollamafake.Model+" is not offered: ")
	require.Contains(t, found["memory reserve"].Remedy, "--memory-reserve")

	cfg.EngineURL, cfg.StateDir = "http://127.0.0.1:1", filepath.Join(t.TempDir(), "new")
	for _, c := range miner.Diagnose(t.Context(), cfg) {
		if c.Name == "engine" {
			require.False(t, c.OK)
			require.Contains(t, c.Remedy, "ollama serve")
		}
	}
	cfg.Slots = -1
	require.Equal(t, "configuration", miner.Diagnose(t.Context(), cfg)[0].Name)
}
