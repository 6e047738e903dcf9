package scheduler

import (
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Obstacle is why a miner does not get a job now.
type Obstacle string

// The obstacles. Those up to Draining last until the miner changes; the others pass by themselves.
const (
	NoModel     Obstacle = "no_model"
	OtherDigest Obstacle = "other_digest"
	PriceFloor  Obstacle = "price_floor"
	Excluded    Obstacle = "excluded"
	Draining    Obstacle = "draining"
	Away        Obstacle = "away"
	Tripped     Obstacle = "tripped"
	Full        Obstacle = "full"
)

// Finding is what keeps one miner from a job; no obstacles: nothing does.
type Finding struct {
	Miner     aitbc.AccountID
	Obstacles []Obstacle
}

// Explain says of every known miner, by id, what keeps it from the job.
func (s *Scheduler) Explain(now time.Time, j Job) []Finding {
	s.enter(now)
	var findings []Finding
	for _, m := range s.miners {
		if !m.gone {
			findings = append(findings, Finding{Miner: m.ID, Obstacles: m.obstacles(j)})
		}
	}
	slices.SortFunc(findings, func(a, b Finding) int { return compareIDs(a.Miner, b.Miner) })
	return findings
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
	add(m.Draining, Draining)
	add(m.Away, Away)
	add(m.breaker == open, Tripped)
	add(!m.Away && !m.Draining && m.breaker != open && m.free() <= 0, Full)
	return found
}
