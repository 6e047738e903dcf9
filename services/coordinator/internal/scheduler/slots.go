package scheduler

import (
	"slices"
	"strings"
)

// A miner has slots, and a model on it may have fewer of its own. What a miner may get of a model is the
// lesser of what is free of both: a model whose own slots are taken leaves the pools by itself.

// holding is a job that a miner holds.
type holding struct {
	miner *miner
	model string
}

// slotsOf gives how many jobs of a model the miner runs at once, at most.
func (m *miner) slotsOf(model string) int {
	if own := m.models[model].Slots; own > 0 {
		return min(own, m.Slots)
	}
	return m.Slots
}

// freeOf gives how many more jobs of a model the miner may get now.
func (m *miner) freeOf(model string) int {
	free := m.free()
	if own := m.models[model].Slots; own > 0 {
		free = min(free, own-m.holds[model])
	}
	return free
}

// crowds reports whether a model's own slots are taken.
func (m *miner) crowds(model Model) bool {
	return model.Slots > 0 && m.holds[model.Name] >= model.Slots
}

// tally counts what the miner holds of a model, and puts the model into its pools or takes it out when that
// makes a difference.
func (s *Scheduler) tally(m *miner, name string, by int) {
	model := m.models[name]
	before := m.crowds(model)
	if m.holds == nil {
		m.holds = make(map[string]int) // not for those that are idle: there are thousands
	}
	m.held += by
	if m.holds[name] += by; m.holds[name] == 0 {
		delete(m.holds, name)
	}
	if now := m.crowds(model); now != before {
		m.noteCrowded()
		if m.seated {
			s.place(m, model, !now)
		}
	}
	s.index(m)
}

// noteCrowded notes which models' own slots are taken.
func (m *miner) noteCrowded() {
	var names []string
	for name := range m.holds {
		if model, has := m.models[name]; has && m.crowds(model) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	m.crowded = strings.Join(names, crowdedSeparator)
}

const crowdedSeparator = "\n"

// isCrowded reports whether a condition's list has a model.
func isCrowded(list, model string) bool {
	return list != "" && slices.Contains(strings.Split(list, crowdedSeparator), model)
}
