package scheduler

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// rememberedRecent is how many decisions a miner can be told about that did not go to it.
const rememberedRecent = 64

// Passed is a decision that did not go to a miner.
type Passed struct {
	// At is when; Model and Price are the job's.
	At    time.Time
	Model string
	Price aitbc.Amount
	// Finding is why.
	Finding
	// Winner is the score of the miner that got the job.
	Winner float64
}

// passed is a decision as it is remembered.
type passed struct {
	at     time.Time
	job    Job
	winner aitbc.AccountID
	choice Choice
}

// recent is the latest decisions: a ring, whose next place is the oldest.
type recent struct {
	ring []passed
	next int
}

func (r *recent) add(p passed) {
	if len(r.ring) < rememberedRecent {
		r.ring = append(r.ring, p)
		return
	}
	r.ring[r.next] = p
	r.next = (r.next + 1) % len(r.ring)
}

// PassedBy gives the latest decisions that did not go to a known miner, the last one first, at most so
// many. It looks at what has changed since of all miners, no further back than at the last 64 decisions.
func (s *Scheduler) PassedBy(id aitbc.AccountID, most int) []Passed {
	m := s.miners[id]
	if m == nil || m.gone {
		return nil
	}
	var list []Passed
	was, walked := m.condition(), s.trail.passed
	for i := range s.recent.ring {
		p := s.recent.ring[(s.recent.next+len(s.recent.ring)-1-i)%len(s.recent.ring)]
		if len(list) == most || !s.trail.rewind(id, &was, &walked, p.choice.Moment) {
			break
		}
		if p.winner == id || !was.known {
			continue
		}
		list = append(list, Passed{
			At: p.at, Model: p.job.Model, Price: p.job.Price,
			Finding: p.choice.finding(id, p.choice.lostBy(id, was, p.job)),
			Winner:  p.choice.Compared[p.choice.place(p.winner)].Score,
		})
	}
	return list
}

// rewind takes what one miner was back from one moment to an earlier one; false: that is forgotten.
func (t *trail) rewind(id aitbc.AccountID, was *condition, from *uint64, to uint64) bool {
	if t.passed-to > uint64(len(t.moments)) {
		return false
	}
	for ; *from > to; *from-- {
		if m := &t.moments[len(t.moments)-1-int(t.passed-*from)]; m.miner == id {
			*was = m.before
		}
	}
	return true
}
