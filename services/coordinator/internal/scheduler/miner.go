package scheduler

import (
	"container/list"
	"reflect"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Miner is what a miner says of itself and the ledger of it.
type Miner struct {
	// ID is its account.
	ID aitbc.AccountID
	// Stake is its stake; Understaked: that is less than a miner must have to be given work.
	Stake       aitbc.Amount
	Understaked bool
	// Slots is how many jobs it runs at once, at most; Busy how many of them are taken by work
	// that is none of the jobs it holds here.
	Slots int
	Busy  int
	// Floor is the least it works for, per compute second.
	Floor aitbc.Amount
	// Models are what it can run, by full name.
	Models []Model
	// Pullable are what it lacks and may pull, by full name, each once.
	Pullable []string
	// Draining: it takes nothing new.
	Draining bool
	// Away: its stream dropped, and it may come back at any moment.
	Away bool
}

// Model is a model at a miner.
type Model struct {
	Name   string
	Digest aitbc.Hash
	// Warm: it is loaded.
	Warm bool
	// Slots is how many jobs of this model the miner runs at once, at most; 0: as many as it has.
	Slots int
}

type breaker int

const (
	closed  breaker = iota
	open            // gets nothing until trippedUntil
	probing         // gets one job at a time until one succeeds
)

type miner struct {
	Miner
	*offer
	gone  bool          // not known any more, but remembered
	place *list.Element // in Scheduler.past while gone
	held  int
	holds map[string]int // held, by model; nil: never any
	// crowded are the models whose own slots are taken.
	crowded string
	seated  bool      // it is in the pools
	noted   condition // what it is by the trail

	reputation   float64
	jobs         int // finished or failed by its fault
	failures     int // in a row
	breaker      breaker
	trippedFor   time.Duration
	trippedUntil time.Time

	// compared counts the decisions in which it was looked at, won those that it won; lost is the
	// last of the others.
	compared, won int64
	lost          Lost
}

// newcomerReputation is what an unknown miner starts with.
const newcomerReputation = 0.5

func (s *Scheduler) miner(id aitbc.AccountID) *miner {
	m := s.miners[id]
	if m == nil {
		m = &miner{Miner: Miner{ID: id, Away: true}, offer: &offer{}, reputation: newcomerReputation}
		m.noted.offer = m.offer
		s.miners[id] = m
		s.trail.follow(m)
	}
	return m
}

// SetMiner makes a miner known or replaces what is known of it, and reports whether that is new. What was
// learnt of it and the slots it holds stay. It keeps the slices.
func (s *Scheduler) SetMiner(described Miner) (changed bool) {
	m := s.miner(described.ID)
	if !m.gone && reflect.DeepEqual(m.Miner, described) { // nearly every heartbeat
		return false
	}
	s.unseat(m)
	s.count(m, -1)
	s.pulls(m, false)
	m.Miner = described
	m.offer = m.offer.renewed(described)
	m.noteCrowded()
	s.count(m, 1)
	s.pulls(m, true)
	if m.gone {
		m.gone = false
		s.past.Remove(m.place)
	}
	s.index(m)
	return true
}

// DropMiner forgets a miner but for what was learnt of it.
func (s *Scheduler) DropMiner(id aitbc.AccountID) {
	m := s.miners[id]
	if m == nil || m.gone {
		return
	}
	s.unseat(m)
	s.count(m, -1)
	s.pulls(m, false)
	m.offer, m.Models, m.Pullable, m.crowded = &offer{}, nil, nil, ""
	m.gone = true
	s.trail.follow(m)
	m.place = s.past.PushBack(id)
	s.trim()
}

// trim forgets the miners that have been gone the longest. One that still holds a job stays.
func (s *Scheduler) trim() {
	for e := s.past.Front(); e != nil && s.past.Len() > s.config.Remembered; {
		next := e.Next()
		if m := s.miners[e.Value.(aitbc.AccountID)]; m.held == 0 {
			s.past.Remove(e)
			delete(s.miners, m.ID)
			delete(s.trips, m)
		}
		e = next
	}
}

// count keeps how many known miners have each model.
func (s *Scheduler) count(m *miner, by int) {
	for name := range m.models {
		if s.models[name] += by; s.models[name] == 0 {
			delete(s.models, name)
			delete(s.speeds, name)
			delete(s.paces, name)
		}
	}
}

// free gives how many more jobs the miner may get now.
func (m *miner) free() int {
	slots := m.Slots
	switch {
	case m.gone, m.Away, m.Draining, m.Understaked, m.breaker == open:
		return 0
	case m.breaker == probing:
		slots = min(slots, 1)
	}
	return slots - m.held - m.Busy
}

// index puts the miner into the pools or takes it out, as its free slots want it. It comes after every
// change of a miner.
func (s *Scheduler) index(m *miner) {
	if m.free() > 0 {
		s.seat(m)
	} else {
		s.unseat(m)
	}
	s.trail.follow(m)
}
