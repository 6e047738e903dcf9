package dispatch

import (
	"container/heap"
	"time"
)

// timer is when something is to be looked at: a job's deadline or a miner that is waited for.
type timer struct {
	at    time.Time
	place int // in the heap, from 1; 0: not set
	entry *entry
	miner *miner
}

// timers is a heap of set timers, the first one due on top.
type timers []*timer

var _ heap.Interface = (*timers)(nil)

// set sets, moves or, with a zero time, stops a timer.
func (t *timers) set(x *timer, at time.Time) {
	switch {
	case at.IsZero():
		t.stop(x)
	case x.place > 0:
		x.at = at
		heap.Fix(t, x.place-1)
	default:
		x.at = at
		heap.Push(t, x)
	}
}

func (t *timers) stop(x *timer) {
	if x.place > 0 {
		heap.Remove(t, x.place-1)
	}
}

// next gives when the first timer is due; zero: none is set.
func (t timers) next() time.Time {
	if len(t) == 0 {
		return time.Time{}
	}
	return t[0].at
}

// due takes up to maximum timers that are due at now.
func (t *timers) due(now time.Time, maximum int) []*timer {
	var due []*timer
	for len(*t) > 0 && len(due) < maximum && !now.Before((*t)[0].at) {
		due = append(due, heap.Pop(t).(*timer))
	}
	return due
}

// Len implements heap.Interface.
func (t timers) Len() int { return len(t) }

// Less implements heap.Interface.
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }

// Swap implements heap.Interface.
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	added := x.(*timer)
	*t = append(*t, added)
	added.place = len(*t)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	x.place = 0
	return x
}
