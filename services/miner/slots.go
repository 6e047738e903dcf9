package miner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// benchmarksFile, in the state folder, is a JSON list of [Measured], one for each model.
const benchmarksFile = "benchmarks.json"

// Measured is what a benchmark of one model found.
type Measured struct {
	// Model is its full name, Digest what was measured under it, Engine with what, such as ollama/0.17.4.
	Model  string `json:"model"`
	Digest string `json:"digest"`
	Engine string `json:"engine"`
	// Slots is how many answers at once are worth having.
	Slots int `json:"slots"`
}

// Keep writes it to the state folder, in place of an older one of the same model. A miner that is given no
// slots takes them from there.
func (m Measured) Keep(stateDir string) error {
	kept, err := readMeasured(stateDir)
	if err != nil {
		return err
	}
	kept = append(slices.DeleteFunc(kept, func(old Measured) bool { return old.Model == m.Model }), m)
	content, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the benchmark: %w", err)
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return fmt.Errorf("keep the benchmark: %w", err)
	}
	path := filepath.Join(stateDir, benchmarksFile)
	if err := os.WriteFile(path+".new", append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the benchmark: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil { // a running miner never reads half of it
		return fmt.Errorf("keep the benchmark: %w", err)
	}
	return nil
}

func readMeasured(stateDir string) ([]Measured, error) {
	path := filepath.Join(stateDir, benchmarksFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the benchmarks: %w", err)
	}
	var kept []Measured
	if err := json.Unmarshal(content, &kept); err != nil {
		return nil, fmt.Errorf("read the benchmarks: %s: %w; delete it and measure again", path, err)
	}
	return kept, nil
}

// measuredSlots gives the slots of each of these models on this engine: what was measured of it as it is now,
// 1 when nothing was. It also names those of which nothing was.
func measuredSlots(kept []Measured, engine string, models []executor.Model) (slots map[string]int, unmeasured []string) {
	slots = make(map[string]int, len(models))
	for _, model := range models {
		i := slices.IndexFunc(kept, func(m Measured) bool {
			return m.Model == model.Name && m.Digest == model.Digest && m.Engine == engine
		})
		if i < 0 {
			slots[model.Name] = 1
			unmeasured = append(unmeasured, model.Name)
			continue
		}
		slots[model.Name] = min(max(kept[i].Slots, 1), maxSlots)
	}
	return slots, unmeasured
}

// slotsText lists slots by model.
func slotsText(slots map[string]int) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		texts = append(texts, fmt.Sprintf("%s %d", name, slots[name]))
	}
	return strings.Join(texts, ", ")
}

// watchSlots gives a function that reads the benchmarks and tells the log what has changed.
func watchSlots(stateDir string, log *slog.Logger) func(engine string, models []executor.Model) map[string]int {
	var told string
	return func(engine string, models []executor.Model) map[string]int {
		kept, err := readMeasured(stateDir)
		slots, unmeasured := measuredSlots(kept, engine, models)
		if now := fmt.Sprint(slots, unmeasured, err); now != told {
			told = now
			if err != nil {
				log.Warn("the benchmarks cannot be read", obs.KeyError, err)
			}
			log.Info("slots by the benchmarks", "slots", slotsText(slots), "unmeasured", strings.Join(unmeasured, ","))
		}
		return slots
	}
}
