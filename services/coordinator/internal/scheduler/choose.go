package scheduler

import (
	"slices"
	"time"

	"github.com/tidwall/btree"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// canPlace reports whether some miner with a free slot may run the job.
func (s *Scheduler) canPlace(j Job) bool { return s.eligible(j) > 0 }

// eligible counts the miners with a free slot that may run the job.
func (s *Scheduler) eligible(j Job) int {
	p := s.pools[poolKey{model: j.Model, digest: j.Digest}]
	if p == nil {
		return 0
	}
	able := within(p.warm, j.Price) + within(p.cold, j.Price)
	for i, id := range j.Excluded {
		m := s.miners[id]
		if m != nil && m.seated && m.obstacles(j)&^excluded == 0 && !slices.Contains(j.Excluded[:i], id) {
			able--
		}
	}
	return able
}

// choose gives the miner for a job that canPlace: the best of a random sample, or now and then a
// newcomer. The sample is larger by the miners that are excluded, so that one is always left.
func (s *Scheduler) choose(now time.Time, j Job) (*miner, Choice) {
	p := s.pools[poolKey{model: j.Model, digest: j.Digest}]
	candidates := s.sample(p.warm, j)
	candidates = append(candidates, s.sample(p.cold, j)...)
	choice := Choice{By: ByScore, Eligible: s.eligible(j), Compared: make([]Scored, len(candidates)), Moment: s.trail.passed}
	var best *miner
	var bestScore float64
	for i, m := range candidates {
		score := s.score(m, j)
		choice.Compared[i] = Scored{Miner: m.ID, Score: score}
		// Equal miners take turns by chance: the noise is far below any real difference.
		if noisy := score + s.rand.Float64()*1e-6; best == nil || noisy > bestScore {
			best, bestScore = m, noisy
		}
	}
	if s.rand.Float64() < s.config.NewcomerShare {
		newcomers := slices.DeleteFunc(slices.Clone(candidates), func(m *miner) bool { return m.jobs >= s.config.NewcomerJobs })
		if len(newcomers) > 0 {
			best, choice.By = newcomers[s.rand.IntN(len(newcomers))], ByNewcomer
		}
	}
	note(now, candidates, choice, best)
	return best, choice
}

// score is the published formula.
func (s *Scheduler) score(m *miner, j Job) float64 {
	w := s.config.Weights
	score := w.Stake*share(m.Stake, s.config.StakeScale) + w.Reputation*m.reputation
	score += w.Free * float64(m.freeOf(j.Model)) / float64(m.slotsOf(j.Model))
	if m.models[j.Model].Warm {
		score += w.Warm
	}
	if j.Price > 0 {
		score += w.Price * (1 - float64(m.Floor)/float64(j.Price))
	}
	return score
}

func share(stake, scale aitbc.Amount) float64 {
	if stake <= 0 {
		return 0
	}
	return float64(stake) / (float64(stake) + float64(scale))
}

// sample draws distinct miners of one side that may run the job.
func (s *Scheduler) sample(side *btree.BTreeG[*miner], j Job) []*miner {
	able, want := within(side, j.Price), s.config.Sample+len(j.Excluded)
	drawn := make([]*miner, 0, min(able, want))
	draw := func(i int) {
		if m, _ := side.GetAt(i); !slices.Contains(j.Excluded, m.ID) {
			drawn = append(drawn, m)
		}
	}
	if able <= want {
		for i := range able {
			draw(i)
		}
		return drawn
	}
	// Floyd's way to draw a set of distinct numbers below able.
	seen := make(map[int]bool, want)
	for top := able - want; top < able; top++ {
		i := s.rand.IntN(top + 1)
		if seen[i] {
			i = top
		}
		seen[i] = true
		draw(i)
	}
	return drawn
}
