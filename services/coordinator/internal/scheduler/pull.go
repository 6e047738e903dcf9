package scheduler

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// pulls keeps which known miners may pull which models.
func (s *Scheduler) pulls(m *miner, may bool) {
	for _, model := range m.Pullable {
		switch {
		case may && s.pullers[model] == nil:
			s.pullers[model] = map[*miner]struct{}{m: {}}
		case may:
			s.pullers[model][m] = struct{}{}
		default:
			if delete(s.pullers[model], m); len(s.pullers[model]) == 0 {
				delete(s.pullers, model)
			}
		}
	}
}

// Pullers gives how many known miners may pull a model; 0 when some known miner has it.
func (s *Scheduler) Pullers(model string) int {
	if s.models[model] > 0 {
		return 0
	}
	return len(s.pullers[model])
}

// Lacking gives the models that jobs wait for, that no known miner has and that some may pull.
func (s *Scheduler) Lacking() []string {
	var lacking []string
	if len(s.pullers) == 0 {
		return nil
	}
	for model := range s.queues {
		if s.Pullers(model) > 0 {
			lacking = append(lacking, model)
		}
	}
	return lacking
}

// Pullable gives up to limit models, drawn by chance, that no known miner has, that some may pull and that
// no job waits for here.
func (s *Scheduler) Pullable(limit int) []string {
	var models []string
	for model := range s.pullers {
		if len(models) == limit {
			break
		}
		if s.models[model] == 0 && s.queues[model] == nil {
			models = append(models, model)
		}
	}
	return models
}

// ChoosePuller gives the miner that is to pull a model for the jobs that wait for it: of those that are
// ready and that could run one of them if they had it, be it once a slot is free, the one with the highest
// score. It looks at every miner that may pull the model, for each class of those jobs.
func (s *Scheduler) ChoosePuller(now time.Time, model string, ready func(aitbc.AccountID) bool) (chosen aitbc.AccountID, ok bool) {
	s.enter(now)
	q := s.queues[model]
	if q == nil {
		return chosen, false
	}
	var best float64
	for m := range s.pullers[model] {
		if m.Slots == 0 || !ready(m.ID) {
			continue
		}
		for _, c := range q.classes {
			if m.obstacles(c.example)&^(noModel|full) != 0 {
				continue
			}
			if score := s.score(m, c.example); !ok || score > best || score == best && compareIDs(m.ID, chosen) < 0 {
				chosen, best, ok = m.ID, score, true
			}
		}
	}
	return chosen, ok
}
