package replica

import (
	"bytes"
	"slices"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
)

// Network is api.Network over all replicas: what is here and, a second old at most, what the others
// have.
type Network struct {
	api.Network
	// Member knows the others.
	Member *Member
}

// Miners implements api.Network. A miner that moved a moment ago is shown where it is connected.
func (n Network) Miners() []dispatch.MinerView {
	views := n.Network.Miners()
	seen := make(map[aitbc.AccountID]int, len(views))
	for i, view := range views {
		seen[view.ID] = i
	}
	for _, view := range n.Member.minersElsewhere() {
		i, twice := seen[view.ID]
		switch {
		case !twice:
			seen[view.ID] = len(views)
			views = append(views, view)
		case view.ConnectedAt.After(views[i].ConnectedAt):
			views[i] = view
		}
	}
	slices.SortFunc(views, func(a, b dispatch.MinerView) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return views
}

// Models implements api.Network.
func (n Network) Models() []dispatch.ModelView {
	views := n.Network.Models()
	at := make(map[string]int, len(views))
	for i, view := range views {
		at[view.Name] = i
	}
	for _, miner := range n.Member.minersElsewhere() {
		for _, model := range miner.State.Models {
			digest, err := aitbc.ParseHash(model.GetDigest())
			if err != nil {
				continue
			}
			i, known := at[model.GetName()]
			if !known {
				i = len(views)
				at[model.GetName()] = i
				views = append(views, dispatch.ModelView{Name: model.GetName(), FirstSeen: miner.ConnectedAt})
			}
			views[i].Miners++
			if !slices.Contains(views[i].Digests, digest) {
				views[i].Digests = append(views[i].Digests, digest)
			}
		}
	}
	slices.SortFunc(views, func(a, b dispatch.ModelView) int { return strings.Compare(a.Name, b.Name) })
	return views
}

func (m *Member) minersElsewhere() []dispatch.MinerView {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []dispatch.MinerView
	for _, views := range m.miners {
		all = append(all, views...)
	}
	return all
}
