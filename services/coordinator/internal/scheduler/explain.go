package scheduler

import (
	"cmp"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Obstacle is why a miner does not get a job now.
type Obstacle string

// The obstacles. Those up to LowStake last until the miner changes; the others pass by themselves.
const (
	NoModel     Obstacle = "no_model"
	OtherDigest Obstacle = "other_digest"
	PriceFloor  Obstacle = "price_floor"
	Excluded    Obstacle = "excluded"
	Draining    Obstacle = "draining"
	LowStake    Obstacle = "low_stake"
	Away        Obstacle = "away"
	Tripped     Obstacle = "tripped"
	Full        Obstacle = "full"
)

// Finding is what keeps one miner from a job; no obstacles: nothing does, and Score is its score.
type Finding struct {
	Miner     aitbc.AccountID
	Obstacles []Obstacle
	Score     float64
}

// Passing reports whether all that keeps the miner from the job passes by itself.
func (f Finding) Passing() bool {
	return !slices.ContainsFunc(f.Obstacles, func(o Obstacle) bool { return o != Full && o != Tripped && o != Away })
}

// Explain says of every known miner, by id, what keeps it from the job.
func (s *Scheduler) Explain(now time.Time, j Job) []Finding {
	s.enter(now)
	var findings []Finding
	for _, m := range s.miners {
		if m.gone {
			continue
		}
		f := Finding{Miner: m.ID, Obstacles: m.obstacles(j)}
		if len(f.Obstacles) == 0 {
			f.Score = s.score(m, j)
		}
		findings = append(findings, f)
	}
	slices.SortFunc(findings, func(a, b Finding) int { return compareIDs(a.Miner, b.Miner) })
	return findings
}

// Kind is waiting jobs that are alike for the choice of a miner.
type Kind struct {
	// Model and Price are theirs; Jobs is how many wait.
	Model string
	Price aitbc.Amount
	Jobs  int
	// Obstacles keep the miner that was asked about from them.
	Obstacles []Obstacle
}

// ExplainMiner says what keeps a miner from any work, and what from each kind of waiting jobs, of
// at most this many kinds, those with the most jobs first. A miner that is not known is away.
func (s *Scheduler) ExplainMiner(now time.Time, id aitbc.AccountID, most int) (own []Obstacle, kinds []Kind) {
	s.enter(now)
	m := s.miners[id]
	if m == nil || m.gone {
		return []Obstacle{Away}, nil
	}
	for _, q := range s.queues {
		for _, c := range q.classes {
			kinds = append(kinds, Kind{Model: q.model, Price: c.key.price, Jobs: c.jobs, Obstacles: m.obstacles(c.example)})
		}
	}
	slices.SortFunc(kinds, func(a, b Kind) int {
		return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Price, b.Price))
	})
	return m.ownObstacles(), kinds[:min(len(kinds), most)]
}

// Hopeful reports whether some known miner may run the job, now or when what keeps it has passed
// by itself. It looks at every miner.
func (s *Scheduler) Hopeful(j Job) bool {
	for _, m := range s.miners {
		if !m.gone && len(m.obstaclesApart(j, Away, Tripped, Full)) == 0 {
			return true
		}
	}
	return false
}

// Has reports whether a known miner has the model, with this digest unless that is zero, whatever
// else keeps it from work. With a digest it looks at every miner.
func (s *Scheduler) Has(model string, digest aitbc.Hash) bool {
	if digest.IsZero() || s.models[model] == 0 {
		return s.models[model] > 0
	}
	for _, m := range s.miners {
		if m.models[model].Digest == digest {
			return true
		}
	}
	return false
}

func (m *miner) obstaclesApart(j Job, apart ...Obstacle) []Obstacle {
	return slices.DeleteFunc(m.obstacles(j), func(o Obstacle) bool { return slices.Contains(apart, o) })
}

func (m *miner) obstacles(j Job) []Obstacle {
	var found []Obstacle
	add := func(is bool, o Obstacle) {
		if is {
			found = append(found, o)
		}
	}
	model, has := m.models[j.Model]
	add(!has, NoModel)
	add(has && !j.Digest.IsZero() && model.Digest != j.Digest, OtherDigest)
	add(m.Floor > j.Price, PriceFloor)
	add(slices.Contains(j.Excluded, m.ID), Excluded)
	return append(found, m.ownObstacles()...)
}

// ownObstacles are those that keep the miner from any job.
func (m *miner) ownObstacles() []Obstacle {
	var found []Obstacle
	if m.Draining {
		found = append(found, Draining)
	}
	if m.Understaked {
		found = append(found, LowStake)
	}
	if m.Away {
		found = append(found, Away)
	}
	if m.breaker == open {
		found = append(found, Tripped)
	}
	if len(found) == 0 && m.free() <= 0 {
		found = append(found, Full)
	}
	return found
}
