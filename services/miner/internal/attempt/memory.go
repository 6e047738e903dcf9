package attempt

import (
	"fmt"
	"slices"

	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// Withheld is a model that is not offered.
type Withheld struct {
	// Name is the model's full name, Why the reason, for people.
	Name, Why string
}

// Withhold parts the models into those that fit beside the reserve, in bytes, and those that do not; a
// reserve of 0 withholds none. A model's need is what the engine reports of it: its memory when it is loaded,
// its size on disk, which is less, otherwise. Where they run is the GPUs' memory together when all of it is
// known, otherwise the processor's; if nobody knows that either, none fits.
func Withhold(models []executor.Model, devices []device.Device, reserve int64) (offered []executor.Model, withheld []Withheld) {
	if reserve == 0 {
		return models, nil
	}
	room, where := roomOf(devices)
	for _, m := range models {
		need := max(m.SizeBytes, m.MemoryBytes)
		switch {
		case room == 0:
			withheld = append(withheld, Withheld{m.Name, "this machine's memory is unknown, so nothing can be kept of it: set no memory-reserve"})
		case need > room-reserve:
			withheld = append(withheld, Withheld{m.Name, fmt.Sprintf(
				"it needs %s, and beside the reserve of %s the %s has %s", mebibytes(need), mebibytes(reserve), where, mebibytes(max(room-reserve, 0)))})
		default:
			offered = append(offered, m)
		}
	}
	return offered, withheld
}

// roomOf gives how much memory models run in, and what it is called.
func roomOf(devices []device.Device) (room int64, where string) {
	var system int64
	unknown := false
	for _, d := range devices {
		switch {
		case d.Kind == device.CPU:
			system += d.MemoryBytes
		default:
			room += d.MemoryBytes
			unknown = unknown || d.MemoryBytes == 0
		}
	}
	if room == 0 || unknown { // a GPU that does not tell may share the system's
		return system, "system's memory"
	}
	return room, "GPUs' memory"
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// remember gives each model the most memory that it was ever seen to take: one that was withheld because
// of it would otherwise be offered again as soon as it is unloaded. Only the refresher calls it.
func (r *Runner) remember(models []executor.Model) {
	for i, m := range models {
		r.needs[m.Digest] = max(r.needs[m.Digest], m.MemoryBytes)
		models[i].MemoryBytes = r.needs[m.Digest]
	}
}

// isWithheld says that the owner keeps the memory that the model needs. The mutex is held.
func (r *Runner) isWithheld(model string) bool {
	return slices.ContainsFunc(r.seen.withheld, func(w Withheld) bool { return w.Name == executor.FullName(model) })
}
