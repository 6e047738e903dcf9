package scheduler

import (
	"math"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Place is where a waiting job stands.
type Place struct {
	// Position is its place among the waiting jobs of its model, from 1, if clients go on taking
	// turns as now. It is an estimate: jobs that ended while they waited still count ahead of those
	// behind them, and what others cost is not looked at.
	Position int
	// Wait is how long that takes at the pace of the last minute; 0: nothing was handed out lately.
	Wait time.Duration
}

// More gives how many jobs of a client and a priority wait for a model behind those that wait here.
type More func(aitbc.Priority, aitbc.AccountID) int

// Place gives where a waiting job stands; false: it does not wait. It looks at the clients that wait
// for the model, not at their jobs.
func (s *Scheduler) Place(now time.Time, id aitbc.JobID, more More) (Place, bool) {
	w := s.waiting[id]
	if w == nil {
		return Place{}, false
	}
	ahead := int(w.number - w.line.jobs.Front().Value.(*waiting).number)
	return s.PlaceBehind(now, w.job, min(ahead, w.line.jobs.Len()-1), more), true
}

// PlaceBehind gives where a job would stand that has this many of its client's jobs for the model and of
// its priority ahead of it. It needs model, priority and client of it.
func (s *Scheduler) PlaceBehind(now time.Time, j Job, ahead int, more More) Place {
	place := Place{Position: 1 + ahead}
	q := s.queues[j.Model]
	if q == nil {
		return place // nobody waits
	}
	for owner, f := range q.tier(j.Priority).byOwner {
		if owner != j.Client {
			place.Position += min(f.jobs+more(j.Priority, owner), ahead+1)
		}
	}
	higher := 0
	for p := j.Priority + 1; p <= aitbc.PriorityHigh; p++ {
		for owner, f := range q.tier(p).byOwner {
			higher += f.jobs + more(p, owner)
		}
	}
	place.Position += min(higher, tierPatience*place.Position)
	if rate := s.rate(now, j.Model); rate > 0 {
		place.Wait = time.Duration(float64(place.Position) / rate * float64(time.Second))
	}
	return place
}

// paceWindow is how far back a pace looks.
const paceWindow = time.Minute

// pace is how often a model's jobs are handed out: a count that fades.
type pace struct {
	since time.Time
	at    time.Time
	count float64
}

// tick counts a job that is handed out.
func (s *Scheduler) tick(now time.Time, model string) {
	p := s.paces[model]
	if p == nil {
		p = &pace{since: now, at: now}
		s.paces[model] = p
	}
	p.count = p.count*faded(now.Sub(p.at)) + 1
	p.at = now
}

// rate gives how many jobs of a model are handed out in a second; 0: none lately.
func (s *Scheduler) rate(now time.Time, model string) float64 {
	p := s.paces[model]
	if p == nil {
		return 0
	}
	count := p.count * faded(now.Sub(p.at))
	seen := paceWindow.Seconds() * (1 - faded(max(now.Sub(p.since), time.Second)))
	if count < 0.5 {
		return 0
	}
	return count / seen
}

func faded(elapsed time.Duration) float64 {
	return math.Exp(-max(elapsed, 0).Seconds() / paceWindow.Seconds())
}
