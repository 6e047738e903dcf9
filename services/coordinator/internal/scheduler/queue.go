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
	flows   *list.List    // of *flow: the clients with waiting jobs, in the order of their turns
	byOwner map[aitbc.AccountID]*flow
	turn    *list.Element // whose turn it is in flows; nil: the first's
	classes map[classKey]*class
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

// flow is a client's part of a queue.
type flow struct {
	queue   *queue
	client  aitbc.AccountID
	place   *list.Element // in queue.flows
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
	return &queue{
		model:   model,
		flows:   list.New(),
		byOwner: make(map[aitbc.AccountID]*flow),
		classes: make(map[classKey]*class),
	}
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
	f := q.byOwner[j.Client]
	if f == nil {
		f = &flow{queue: q, client: j.Client, lines: make(map[classKey]*line)}
		f.place = q.flows.PushBack(f)
		q.byOwner[j.Client] = f
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
	if q.turn == f.place {
		q.turn = f.place.Next()
	}
	q.flows.Remove(f.place)
	delete(q.byOwner, f.client)
}

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
	// Two laps: in the first every client may be at the end of its turn, in the second each of
	// them begins a new one, which pays for any job.
	for range 2 * q.flows.Len() {
		if q.turn == nil {
			q.turn = q.flows.Front()
		}
		f := q.turn.Value.(*flow)
		w := f.head(open)
		if w != nil && f.charge(w.job.Cost) {
			return w
		}
		f.begun = false
		q.turn = q.turn.Next()
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
