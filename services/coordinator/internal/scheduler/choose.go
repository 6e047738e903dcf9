package scheduler

import (
	"slices"

	"github.com/tidwall/btree"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// canPlace reports whether some miner with a free slot may run the job.
func (s *Scheduler) canPlace(j Job) bool {
	p := s.pools[poolKey{model: j.Model, digest: j.Digest}]
	if p == nil {
		return false
	}
	able := within(p.warm, j.Price) + within(p.cold, j.Price)
	for i, id := range j.Excluded {
		m := s.miners[id]
		if m != nil && m.seated && len(m.obstaclesApart(j, Excluded)) == 0 && !slices.Contains(j.Excluded[:i], id) {
			able--
		}
	}
	return able > 0
}

// choose gives the miner for a job that canPlace: the best of a random sample, or now and then a
// newcomer. The sample is larger by the miners that are excluded, so that one is always left.
func (s *Scheduler) choose(j Job) *miner {
	p := s.pools[poolKey{model: j.Model, digest: j.Digest}]
	candidates := s.sample(p.warm, j)
	candidates = append(candidates, s.sample(p.cold, j)...)
	if s.rand.Float64() < s.config.NewcomerShare {
		newcomers := slices.DeleteFunc(slices.Clone(candidates), func(m *miner) bool { return m.jobs >= s.config.NewcomerJobs })
		if len(newcomers) > 0 {
			return newcomers[s.rand.IntN(len(newcomers))]
		}
	}
	var best *miner
	var bestScore float64
	for _, m := range candidates {
		// Equal miners take turns by chance: the noise is far below any real difference.
		score := s.score(m, j) + s.rand.Float64()*1e-6
		if best == nil || score > bestScore {
			best, bestScore = m, score
		}
	}
	return best
}

// score is the published formula.
func (s *Scheduler) score(m *miner, j Job) float64 {
	w := s.config.Weights
	score := w.Stake*share(m.Stake, s.config.StakeScale) + w.Reputation*m.reputation
	score += w.Free * float64(m.free()) / float64(m.Slots)
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
