package scheduler

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Obstacle is why a miner does not get a job.
type Obstacle string

// The obstacles. Those up to LowStake last until the miner changes; the next four pass by themselves.
// The others keep from nothing: they say why a decision went to another.
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
	ModelFull   Obstacle = "model_full"

	// Outscored: it was compared, and another had the higher score.
	Outscored Obstacle = "outscored"
	// NotDrawn: it was not in the random sample that was compared.
	NotDrawn Obstacle = "not_drawn"
	// NewcomersTurn: it was compared, and the decision was one of the newcomers' share.
	NewcomersTurn Obstacle = "newcomers_turn"
	// Claimed: another's owner asked for the job.
	Claimed Obstacle = "claimed"
)

// set is a set of obstacles, a bit each, in the order of all.
type set uint16

const (
	noModel set = 1 << iota
	otherDigest
	priceFloor
	excluded
	draining
	lowStake
	away
	tripped
	full
	modelFull
	outscored
	notDrawn
	newcomersTurn
	claimed

	passing = away | tripped | full | modelFull

	// obstacleKinds is how many obstacles there are.
	obstacleKinds = 14
)

// all gives the obstacles in the order of a set's bits.
func all() [obstacleKinds]Obstacle {
	return [...]Obstacle{
		NoModel, OtherDigest, PriceFloor, Excluded, Draining, LowStake, Away, Tripped, Full, ModelFull, Outscored, NotDrawn, NewcomersTurn, Claimed,
	}
}

// words gives the obstacles of a set; nil: none.
func (s set) words() []Obstacle {
	var words []Obstacle
	for i, word := range all() {
		if s&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return words
}

func (s *set) add(is bool, o set) {
	if is {
		*s |= o
	}
}

// Finding is what keeps one miner from a job; no obstacles: nothing does. Score is its score, where it
// is known.
type Finding struct {
	Miner     aitbc.AccountID
	Obstacles []Obstacle
	Score     float64
}

// Passing reports whether all that keeps the miner from the job passes by itself.
func (f Finding) Passing() bool {
	return !slices.ContainsFunc(f.Obstacles, func(o Obstacle) bool { return o != Full && o != ModelFull && o != Tripped && o != Away })
}

// Explain says of every known miner, by id, what keeps it from the job.
func (s *Scheduler) Explain(now time.Time, j Job) []Finding {
	s.enter(now)
	var findings []Finding
	for _, m := range s.miners {
		if m.gone {
			continue
		}
		f := Finding{Miner: m.ID, Obstacles: m.obstacles(j).words()}
		if len(f.Obstacles) == 0 {
			f.Score = s.score(m, j)
		}
		findings = append(findings, f)
	}
	slices.SortFunc(findings, func(a, b Finding) int { return compareIDs(a.Miner, b.Miner) })
	return findings
}

// Others are the miners that did not get a job when another got it.
type Others struct {
	// Known is how many there were; Counts is how many of them each obstacle kept from the job.
	Known  int
	Counts map[Obstacle]int
	// Miners are the first of them by id.
	Miners []Finding
}

// ExplainChoice says why each miner but the winner that was known when a job's miner was chosen did not
// get it, and names the first of them, at most so many. False: what they were then is forgotten. It looks
// at every miner, and at what has changed of them since.
func (s *Scheduler) ExplainChoice(j Job, winner aitbc.AccountID, c Choice, most int) (Others, bool) {
	were, remembered := s.trail.back(c.Moment)
	if !remembered {
		return Others{}, false
	}
	t := tally{most: most}
	for id, was := range were {
		if was.known && id != winner {
			t.add(id, c.lostBy(id, was, j))
		}
	}
	for id, m := range s.miners {
		if _, changed := were[id]; !changed && !m.gone && id != winner {
			t.add(id, c.lostBy(id, m.condition(), j))
		}
	}
	return t.others(c), true
}

// tally counts the miners that did not get a job, and keeps the first of them by id: so nothing is sorted,
// nor made, for each.
type tally struct {
	most   int
	known  int
	counts [obstacleKinds]int
	first  []loser
}

type loser struct {
	id  aitbc.AccountID
	why set
}

func (t *tally) add(id aitbc.AccountID, why set) {
	t.known++
	for rest := why; rest != 0; rest &= rest - 1 {
		t.counts[bits.TrailingZeros16(uint16(rest))]++
	}
	if len(t.first) == t.most && (t.most == 0 || compareIDs(id, t.first[t.most-1].id) > 0) {
		return
	}
	at, _ := slices.BinarySearchFunc(t.first, id, func(l loser, id aitbc.AccountID) int { return compareIDs(l.id, id) })
	t.first = slices.Insert(t.first, at, loser{id, why})
	t.first = t.first[:min(len(t.first), t.most)]
}

func (t *tally) others(c Choice) Others {
	others := Others{Known: t.known, Counts: map[Obstacle]int{}}
	for i, word := range all() {
		if t.counts[i] > 0 {
			others.Counts[word] = t.counts[i]
		}
	}
	for _, l := range t.first {
		others.Miners = append(others.Miners, c.finding(l.id, l.why))
	}
	return others
}

// lostBy says why the choice was not this miner.
func (c Choice) lostBy(id aitbc.AccountID, was condition, j Job) set {
	why := was.obstacles(id, j)
	switch {
	case why != 0:
		return why
	case c.By == ByClaim:
		return claimed
	case c.place(id) < 0:
		return notDrawn
	case c.By == ByNewcomer:
		return newcomersTurn
	}
	return outscored
}

// place gives where in Compared a miner is; negative: it was not compared.
func (c Choice) place(id aitbc.AccountID) int {
	return slices.IndexFunc(c.Compared, func(s Scored) bool { return s.Miner == id })
}

func (c Choice) finding(id aitbc.AccountID, why set) Finding {
	f := Finding{Miner: id, Obstacles: why.words()}
	if i := c.place(id); i >= 0 {
		f.Score = c.Compared[i].Score
	}
	return f
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
			kinds = append(kinds, Kind{Model: q.model, Price: c.key.price, Jobs: c.jobs, Obstacles: m.obstacles(c.example).words()})
		}
	}
	slices.SortFunc(kinds, func(a, b Kind) int {
		return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Price, b.Price))
	})
	return m.ownObstacles().words(), kinds[:min(len(kinds), most)]
}

// Hopeful reports whether some known miner may run the job, now or when what keeps it has passed
// by itself. It looks at every miner.
func (s *Scheduler) Hopeful(j Job) bool {
	for _, m := range s.miners {
		if !m.gone && m.obstacles(j)&^passing == 0 {
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

func (m *miner) obstacles(j Job) set { return m.condition().obstacles(m.ID, j) }

func (c condition) obstacles(id aitbc.AccountID, j Job) set {
	found := c.own
	model, has := c.models[j.Model]
	found.add(!has, noModel)
	found.add(has && !j.Digest.IsZero() && model.Digest != j.Digest, otherDigest)
	found.add(c.floor > j.Price, priceFloor)
	found.add(slices.Contains(j.Excluded, id), excluded)
	found.add(c.own == 0 && isCrowded(c.crowded, j.Model), modelFull)
	return found
}

// ownObstacles are those that keep the miner from any job.
func (m *miner) ownObstacles() (found set) {
	found.add(m.Draining, draining)
	found.add(m.Understaked, lowStake)
	found.add(m.Away, away)
	found.add(m.breaker == open, tripped)
	found.add(found == 0 && m.free() <= 0, full)
	return found
}
