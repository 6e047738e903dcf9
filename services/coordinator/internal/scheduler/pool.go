package scheduler

import (
	"bytes"
	"sort"

	"github.com/tidwall/btree"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// poolKey names the miners that can run a model: with a digest those that have this one, without
// it all that have the model.
type poolKey struct {
	model  string
	digest aitbc.Hash
}

// pool holds the miners of a poolKey that have a free slot for the model, by their price floor, so that those
// that work for a given price are a prefix that can be counted and sampled.
type pool struct {
	warm *btree.BTreeG[*miner]
	cold *btree.BTreeG[*miner]
}

func newPool() *pool {
	tree := func() *btree.BTreeG[*miner] {
		return btree.NewBTreeGOptions(func(a, b *miner) bool {
			if a.Floor != b.Floor {
				return a.Floor < b.Floor
			}
			return bytes.Compare(a.ID[:], b.ID[:]) < 0
		}, btree.Options{NoLocks: true})
	}
	return &pool{warm: tree(), cold: tree()}
}

func (p *pool) side(warm bool) *btree.BTreeG[*miner] {
	if warm {
		return p.warm
	}
	return p.cold
}

// within counts the miners of a side that work for the price.
func within(side *btree.BTreeG[*miner], price aitbc.Amount) int {
	return sort.Search(side.Len(), func(i int) bool {
		m, _ := side.GetAt(i)
		return m.Floor > price
	})
}

// seat puts a miner with free slots into the pools of its models, but of those whose own slots are taken. What orders a pool (the floor)
// only changes while the miner is in none.
func (s *Scheduler) seat(m *miner) {
	if m.seated {
		return
	}
	m.seated = true
	for _, model := range m.models {
		if !m.crowds(model) {
			s.place(m, model, true)
		}
	}
}

func (s *Scheduler) unseat(m *miner) {
	if !m.seated {
		return
	}
	m.seated = false
	for _, model := range m.models {
		if !m.crowds(model) {
			s.place(m, model, false)
		}
	}
}

// place puts a miner into the pools of one of its models, or takes it out of them.
func (s *Scheduler) place(m *miner, model Model, in bool) {
	for _, key := range keysOf(model) {
		p := s.pools[key]
		if in {
			if p == nil {
				p = newPool()
				s.pools[key] = p
			}
			p.side(model.Warm).Set(m)
			continue
		}
		p.side(model.Warm).Delete(m)
		if p.warm.Len()+p.cold.Len() == 0 {
			delete(s.pools, key)
		}
	}
}

// keysOf gives the pools of a model: the one for any digest and the one for its own. A digest that
// is not known, which is zero, has the first only.
func keysOf(m Model) []poolKey {
	if m.Digest.IsZero() {
		return []poolKey{{model: m.Name}}
	}
	return []poolKey{{model: m.Name}, {model: m.Name, digest: m.Digest}}
}
