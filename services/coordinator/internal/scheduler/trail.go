package scheduler

import (
	"maps"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// A decision must be explained later, when the miners are others than they were. Writing down at each
// decision what every miner was would cost as much as there are miners. So the decision notes only the
// moment, and whenever something changes that decides whether a miner may be given jobs, what it was
// before is added to a trail. To see the miners of a moment, the trail is walked back from now.

// trailRoom bounds the trail, in entries; a list of models counts as many as it has. It is some MB.
// Older moments are forgotten: a busy miner with one slot changes twice with each job.
const trailRoom = 1 << 14

// condition is all of a miner that decides whether it may be given a job.
type condition struct {
	known bool
	own   set
	// crowded are the models whose own slots are taken.
	crowded string
	*offer
}

// offer is what a miner runs, and for how much. It is replaced when that changes; only Warm, which
// keeps from no job, is changed in it.
type offer struct {
	models map[string]Model
	floor  aitbc.Amount
}

// renewed gives the offer that a miner describes: the same, if it decides the same.
func (o *offer) renewed(described Miner) *offer {
	next := &offer{models: make(map[string]Model, len(described.Models)), floor: described.Floor}
	for _, model := range described.Models {
		next.models[model.Name] = model
	}
	same := func(a, b Model) bool { return a.Digest == b.Digest }
	if o.floor != next.floor || !maps.EqualFunc(o.models, next.models, same) {
		return next
	}
	maps.Copy(o.models, next.models)
	return o
}

func (m *miner) condition() condition {
	return condition{known: !m.gone, own: m.ownObstacles(), crowded: m.crowded, offer: m.offer}
}

// moment is a change of a miner: what it was before.
type moment struct {
	miner  aitbc.AccountID
	before condition
	weight int
}

// trail is the latest moments, oldest first.
type trail struct {
	moments []moment
	weight  int
	// passed is how many there have been.
	passed uint64
}

// follow adds to the trail that the miner is not what it was.
func (t *trail) follow(m *miner) {
	is := m.condition()
	if is == m.noted {
		return
	}
	weight := 1
	if is.offer != m.noted.offer {
		weight += len(m.noted.models)
	}
	t.moments = append(t.moments, moment{miner: m.ID, before: m.noted, weight: weight})
	m.noted = is
	t.passed++
	for t.weight += weight; t.weight > trailRoom; {
		t.weight -= t.moments[0].weight
		t.moments[0] = moment{} // it may be the last to know an offer
		t.moments = t.moments[1:]
	}
}

// back gives what those miners were at a moment that have changed since; false: it is forgotten.
func (t *trail) back(to uint64) (map[aitbc.AccountID]condition, bool) {
	since := int(t.passed - to)
	if since > len(t.moments) {
		return nil, false
	}
	were := make(map[aitbc.AccountID]condition, min(since, 1024))
	for i := len(t.moments) - 1; i >= len(t.moments)-since; i-- {
		were[t.moments[i].miner] = t.moments[i].before
	}
	return were, true
}
