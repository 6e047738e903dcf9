package attempt

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// catalog is what engine and devices were when last looked at.
type catalog struct {
	engine   string // kind and version; survives an engine that is away
	models   []executor.Model
	withheld []Withheld // for their memory
	devices  []device.Device
	slots    map[string]int // as measured, by model; survives an engine that is away
	err      string         // why there are no models
}

// EngineName is what an engine of this version is called, as in statements.
func EngineName(version string) string { return "ollama/" + version }

// keepLooking keeps the catalog fresh.
func (r *Runner) keepLooking(ctx context.Context) error {
	tick := time.NewTicker(r.config.RefreshInterval)
	defer tick.Stop()
	for {
		r.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-r.refresh:
		}
	}
}

// Refresh asks for a look at engine and devices before the next tick: something may have changed.
func (r *Runner) Refresh() {
	select {
	case r.refresh <- struct{}{}:
	default: // one is asked for already
	}
}

func (r *Runner) look(ctx context.Context) {
	engine, models, err := r.lookAtEngine(ctx)
	devices, deviceErr := r.deps.Devices.List(ctx)
	readings, err2 := r.deps.Devices.Readings(ctx) // for the owner's eyes: an error is List's, too
	if ctx.Err() != nil {
		return
	}
	r.remember(models)
	models, withheld := Withhold(models, devices, r.config.MemoryReserve)
	var slots map[string]int
	if err == nil && r.config.Slots == 0 {
		slots = r.config.Measured(engine, models)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readings = readings; err2 != nil {
		r.readings = nil
	}
	now := catalog{engine: engine, models: models, withheld: withheld, devices: devices, slots: slots}
	if err != nil {
		now.engine, now.slots, now.err = r.seen.engine, r.seen.slots, err.Error()
	}
	if reflect.DeepEqual(now, r.seen) {
		return
	}
	switch {
	case err != nil && r.seen.err == "":
		r.deps.Log.Warn("engine is away", obs.KeyError, err)
	case err == nil && (r.seen.err != "" || r.seen.engine != engine):
		r.deps.Log.Info("engine is there", "engine", engine, "models", len(models))
	}
	if deviceErr != nil && !reflect.DeepEqual(devices, r.seen.devices) {
		r.deps.Log.Warn("cannot list all devices", obs.KeyError, deviceErr)
	}
	r.seen = now
	r.change()
}

func (r *Runner) lookAtEngine(ctx context.Context) (string, []executor.Model, error) {
	version, err := r.deps.Executor.Version(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("look at the engine: %w", err)
	}
	models, err := r.deps.Executor.Models(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("look at the engine: %w", err)
	}
	models = slices.DeleteFunc(models, func(m executor.Model) bool { return !r.allowed(m.Name) })
	slices.SortFunc(models, func(a, b executor.Model) int { return strings.Compare(a.Name, b.Name) })
	return EngineName(version), models, nil
}

// engine gives the engine's name and version, as last seen or, before the first look, as it is.
func (r *Runner) engine(ctx context.Context) (string, error) {
	r.mu.Lock()
	engine := r.seen.engine
	r.mu.Unlock()
	if engine != "" {
		return engine, nil
	}
	version, err := r.deps.Executor.Version(ctx)
	if err != nil {
		return "", &executor.Failure{Reason: executor.EngineError, Message: "the engine does not answer", Err: err}
	}
	return EngineName(version), nil
}

func (r *Runner) hasGPU() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.seen.devices, func(d device.Device) bool { return d.Kind == device.GPU })
}
