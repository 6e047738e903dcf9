package scheduler

import (
	"bytes"
	"container/list"
	"slices"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// queue holds the waiting jobs of one model.
type queue struct {
	model   string
	place   *list.Element // in Scheduler.ring
	tiers   [tiers]tier   // the highest priority first
	classes map[classKey]*class
}

const (
	// tiers is how many priorities there are.
	tiers = int(aitbc.PriorityHigh-aitbc.PriorityLow) + 1
	// tierPatience is after how many jobs of higher priorities, handed out while it had jobs waiting, a
	// priority goes first once, so that no priority starves another.
	tierPatience = 15
)

// tier is the jobs of one priority.
type tier struct {
	flows   *list.List // of *flow: the clients with waiting jobs, in the order of their turns
	byOwner map[aitbc.AccountID]*flow
	turn    *list.Element // whose turn it is in flows; nil: the first's
	passed  int           // how many jobs went before its own since it last had one
}

// tier gives that of a priority; one that there is not is the nearest.
func (q *queue) tier(p aitbc.Priority) *tier {
	return &q.tiers[aitbc.PriorityHigh-min(max(p, aitbc.PriorityLow), aitbc.PriorityHigh)]
}

// classKey is everything but the model that decides who may run a job.
type classKey struct {
	digest   aitbc.Hash
	price    aitbc.Amount
	excluded string // the sorted accounts, one behind the other
}

// class is a class with waiting jobs.
type class struct {
	key     classKey
	jobs    int
	example Job // any job of the class: for placing they are all alike
}

// flow is a client's part of a tier.
type flow struct {
	queue   *queue
	tier    *tier
	client  aitbc.AccountID
	place   *list.Element // in tier.flows
	lines   map[classKey]*line
	jobs    int  // in all lines
	deficit int  // what is left of its turns' quanta
	begun   bool // its turn's quantum is in deficit
}

// line is a client's jobs of one class, first come first served.
type line struct {
	flow  *flow
	class *class
	jobs  *list.List // of *waiting
	last  uint64     // the number of the last job that came
}

type waiting struct {
	job    Job
	line   *line
	place  *list.Element // in line.jobs
	number uint64        // in the order of the line
}

func newQueue(model string) *queue {
	q := &queue{model: model, classes: make(map[classKey]*class)}
	for i := range q.tiers {
		q.tiers[i] = tier{flows: list.New(), byOwner: make(map[aitbc.AccountID]*flow)}
	}
	return q
}

func keyOf(j Job) classKey {
	excluded := slices.Clone(j.Excluded)
	slices.SortFunc(excluded, compareIDs)
	var text []byte
	for _, id := range excluded {
		text = append(text, id[:]...)
	}
	return classKey{digest: j.Digest, price: j.Price, excluded: string(text)}
}

func compareIDs(a, b aitbc.AccountID) int { return bytes.Compare(a[:], b[:]) }

func (q *queue) add(j Job) *waiting {
	key := keyOf(j)
	c := q.classes[key]
	if c == nil {
		c = &class{key: key, example: j}
		q.classes[key] = c
	}
	c.jobs++
	t := q.tier(j.Priority)
	f := t.byOwner[j.Client]
	if f == nil {
		f = &flow{queue: q, tier: t, client: j.Client, lines: make(map[classKey]*line)}
		f.place = t.flows.PushBack(f)
		t.byOwner[j.Client] = f
	}
	l := f.lines[key]
	if l == nil {
		l = &line{flow: f, class: c, jobs: list.New()}
		f.lines[key] = l
	}
	f.jobs++
	l.last++
	w := &waiting{job: j, line: l, number: l.last}
	w.place = l.jobs.PushBack(w)
	return w
}

// remove takes a job out, and with the last of its kind its line, flow and class. A client that
// has nothing waiting keeps no deficit: credit is not saved up.
func (q *queue) remove(w *waiting) {
	l, f := w.line, w.line.flow
	l.jobs.Remove(w.place)
	f.jobs--
	if l.class.jobs--; l.class.jobs == 0 {
		delete(q.classes, l.class.key)
	}
	if l.jobs.Len() > 0 {
		return
	}
	delete(f.lines, l.class.key)
	if len(f.lines) > 0 {
		return
	}
	t := f.tier
	if t.turn == f.place {
		t.turn = f.place.Next()
	}
	t.flows.Remove(f.place)
	delete(t.byOwner, f.client)
	if t.flows.Len() == 0 {
		t.passed = 0
	}
}

// empty reports whether nothing waits.
func (q *queue) empty() bool { return len(q.classes) == 0 }

// next gives the job whose turn it is among those that can be placed, and charges its client; nil:
// none can be placed. The job is still in the queue.
func (q *queue) next(canPlace func(Job) bool) *waiting {
	open := make(map[*class]bool, len(q.classes))
	any := false
	for _, c := range q.classes {
		open[c] = canPlace(c.example)
		any = any || open[c]
	}
	if !any {
		return nil
	}
	for _, t := range q.order() {
		if w := t.next(open); w != nil {
			q.passOver(t)
			return w
		}
	}
	return nil
}

// order gives the tiers in the order in which they go now.
func (q *queue) order() [tiers]*tier {
	var order [tiers]*tier
	n := 0
	for _, impatient := range []bool{true, false} {
		for i := range q.tiers {
			if t := &q.tiers[i]; (t.passed >= tierPatience) == impatient {
				order[n] = t
				n++
			}
		}
	}
	return order
}

// passOver notes that a tier's job went.
func (q *queue) passOver(gone *tier) {
	gone.passed = 0
	for i := len(q.tiers) - 1; &q.tiers[i] != gone; i-- {
		if q.tiers[i].flows.Len() > 0 {
			q.tiers[i].passed++
		}
	}
}

// next gives the job whose turn it is among those of the open classes, and charges its client; nil: none.
func (t *tier) next(open map[*class]bool) *waiting {
	// Two laps: in the first every client may be at the end of its turn, in the second each of
	// them begins a new one, which pays for any job.
	for range 2 * t.flows.Len() {
		if t.turn == nil {
			t.turn = t.flows.Front()
		}
		f := t.turn.Value.(*flow)
		w := f.head(open)
		if w != nil && f.charge(w.job.Cost) {
			return w
		}
		f.begun = false
		t.turn = t.turn.Next()
	}
	return nil
}

// charge takes a job's cost from the client's turn; false: its turn is over. A turn's quantum pays
// for any job, so what is left at its end is less than one, and stays for the next.
func (f *flow) charge(cost int) bool {
	if !f.begun {
		f.begun = true
		f.deficit = min(f.deficit, MaxCost-1) + MaxCost
	}
	if f.deficit < cost {
		return false
	}
	f.deficit -= cost
	return true
}

// head gives the client's first job that can be placed: of its lines' heads the one with the
// oldest id, so that a job that is tried again goes before those that came after it.
func (f *flow) head(open map[*class]bool) *waiting {
	var first *waiting
	for _, l := range f.lines {
		if !open[l.class] {
			continue
		}
		w := l.jobs.Front().Value.(*waiting)
		if first == nil || bytes.Compare(w.job.ID[:], first.job.ID[:]) < 0 {
			first = w
		}
	}
	return first
}
