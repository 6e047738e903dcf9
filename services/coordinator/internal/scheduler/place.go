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

// Place gives where a waiting job stands; false: it does not wait. It looks at the clients that wait
// for the model, not at their jobs.
func (s *Scheduler) Place(now time.Time, id aitbc.JobID) (Place, bool) {
	w := s.waiting[id]
	if w == nil {
		return Place{}, false
	}
	own := w.line.flow
	ahead := int(w.number - w.line.jobs.Front().Value.(*waiting).number)
	ahead = min(ahead, w.line.jobs.Len()-1)
	position := 1 + ahead
	for _, f := range own.queue.byOwner {
		if f != own {
			position += min(f.jobs, ahead+1)
		}
	}
	place := Place{Position: position}
	if rate := s.rate(now, w.job.Model); rate > 0 {
		place.Wait = time.Duration(float64(position) / rate * float64(time.Second))
	}
	return place, true
}

// PlaceBehind gives where a job would stand that has this many of its client's jobs for the model ahead
// of it. more gives how many jobs a client has behind those that wait here.
func (s *Scheduler) PlaceBehind(now time.Time, client aitbc.AccountID, model string, ahead int, more func(aitbc.AccountID) int) Place {
	place := Place{Position: 1 + ahead}
	q := s.queues[model]
	if q == nil {
		return place // nobody waits
	}
	for owner, f := range q.byOwner {
		if owner != client {
			place.Position += min(f.jobs+more(owner), ahead+1)
		}
	}
	if rate := s.rate(now, model); rate > 0 {
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
