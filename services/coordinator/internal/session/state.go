package session

import (
	"math"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
)

// What a miner may claim of itself, so that one of them cannot fill the coordinator's memory.
const (
	maxSlots   = 1024
	maxModels  = 1000
	maxDevices = 256
	maxLeases  = 10_000
	maxName    = 200
	maxEngine  = 64
	// maxPullError is the contract's, in bytes.
	maxPullError = 1000
)

// stateOf reads a miner's state. Errors: INVALID_FIELD.
func stateOf(m *coordinatorv1.MinerState) (dispatch.MinerState, error) {
	var none dispatch.MinerState
	switch {
	case m.GetSlots() < 0 || m.GetSlots() > maxSlots:
		return none, invalid("state.slots", "is %d, want 0 to %d", m.GetSlots(), maxSlots)
	case m.GetPriceFloorUaitbc() < 0:
		return none, invalid("state.price_floor_uaitbc", "is %d, want at least 0", m.GetPriceFloorUaitbc())
	case len(m.GetEngine()) > maxEngine:
		return none, invalid("state.engine", "has %d bytes, at most %d", len(m.GetEngine()), maxEngine)
	case len(m.GetModels()) > maxModels || len(m.GetDevices()) > maxDevices:
		return none, invalid("state.models", "%d models and %d devices, at most %d and %d", len(m.GetModels()), len(m.GetDevices()), maxModels, maxDevices)
	case len(m.GetRunningLeaseIds())+len(m.GetFinishedLeaseIds()) > maxLeases:
		return none, invalid("state.running_lease_ids", "and the finished ones are more than %d", maxLeases)
	}
	for i, model := range m.GetModels() {
		if model.GetSlots() < 0 || model.GetSlots() > maxSlots {
			return none, invalid("state.models", "number %d has %d slots, want 0 to %d", i+1, model.GetSlots(), maxSlots)
		}
		if model.GetName() == "" || len(model.GetName()) > maxName {
			return none, invalid("state.models", "number %d has a name of %d bytes, want 1 to %d", i+1, len(model.GetName()), maxName)
		}
	}
	if err := checkPulls(m); err != nil {
		return none, err
	}
	for i, device := range m.GetDevices() {
		if len(device.GetName()) > maxName || len(device.GetKind()) > maxName {
			return none, invalid("state.devices", "number %d has a name or kind of more than %d bytes", i+1, maxName)
		}
	}
	return dispatch.MinerState{
		Slots:      int(m.GetSlots()),
		Draining:   m.GetDraining(),
		Engine:     m.GetEngine(),
		PriceFloor: aitbc.Amount(m.GetPriceFloorUaitbc()),
		Models:     m.GetModels(),
		Devices:    m.GetDevices(),
		Running:    m.GetRunningLeaseIds(),
		Finished:   m.GetFinishedLeaseIds(),
		Pullable:   m.GetPullableModels(),
		Pulls:      m.GetPulls(),
	}, nil
}

// checkPulls bounds what a miner says of the models that it may pull. Errors: INVALID_FIELD.
func checkPulls(m *coordinatorv1.MinerState) error {
	if len(m.GetPullableModels()) > maxModels || len(m.GetPulls()) > maxModels {
		return invalid("state.pullable_models", "%d models and %d pulls, at most %d of each", len(m.GetPullableModels()), len(m.GetPulls()), maxModels)
	}
	for i, name := range m.GetPullableModels() {
		if name == "" || len(name) > maxName {
			return invalid("state.pullable_models", "number %d has %d bytes, want 1 to %d", i+1, len(name), maxName)
		}
	}
	for i, pull := range m.GetPulls() {
		if pull.GetModel() == "" || len(pull.GetModel()) > maxName || len(pull.GetError()) > maxPullError || min(pull.GetCompletedBytes(), pull.GetTotalBytes()) < 0 {
			return invalid("state.pulls", "number %d has a name of %d bytes, want 1 to %d; an error of %d, at most %d; or a negative size",
				i+1, len(pull.GetModel()), maxName, len(pull.GetError()), maxPullError)
		}
	}
	return nil
}

// utilization gives the device's mean use when the miner measured one that makes sense.
func utilization(m *coordinatorv1.JobMetrics) *float64 {
	if m == nil || m.GpuUtilization == nil {
		return nil
	}
	if u := m.GetGpuUtilization(); math.IsNaN(u) || u < 0 || u > 1 {
		return nil
	}
	return m.GpuUtilization
}

// finishReason gives why the answer ended, in the contract's words; another word is none.
func finishReason(m *coordinatorv1.JobMetrics) string {
	switch reason := m.GetFinishReason(); reason {
	case "stop", "length", "tool_calls":
		return reason
	default:
		return ""
	}
}
