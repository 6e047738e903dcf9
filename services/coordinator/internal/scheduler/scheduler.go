package scheduler

import (
	"container/list"
	"math/rand/v2"
	"time"

	"github.com/tidwall/btree"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// MaxCost is the most a job may cost in its client's turn, and what each turn brings, so that
// every turn hands out at least one job.
const MaxCost = 8

// Job is what deciding about a job needs.
type Job struct {
	// ID is the job's.
	ID aitbc.JobID
	// Client is whose turn it takes.
	Client aitbc.AccountID
	// Model is the full name, Digest the pinned one; zero: any.
	Model  string
	Digest aitbc.Hash
	// Priority is which of the jobs for the model go first.
	Priority aitbc.Priority
	// Price is what a compute second brings.
	Price aitbc.Amount
	// Excluded are miners that must not get it.
	Excluded []aitbc.AccountID
	// Cost is how much work it is expected to be, 1 to MaxCost; what is outside is taken as the
	// nearest.
	Cost int
}

// Decision hands a job to a miner. The slot is reserved until Release.
type Decision struct {
	Job   aitbc.JobID
	Miner aitbc.AccountID
	// Digest is the digest of the model at that miner.
	Digest aitbc.Hash
	// Choice is how it came about.
	Choice Choice
}

// Scheduler is the state. It is not safe for concurrent use.
type Scheduler struct {
	config Config
	rand   *rand.Rand

	miners map[aitbc.AccountID]*miner
	past   *list.List // of aitbc.AccountID: miners that are gone, the oldest first
	models map[string]int
	// pullers are the miners that may pull a model.
	pullers map[string]map[*miner]struct{}
	pools   map[poolKey]*pool
	speeds  map[string]*speed
	paces   map[string]*pace
	// trips are the miners with an open circuit breaker; tripsEnd is when the first of them may try
	// again, or a little earlier; zero: there is none.
	trips    map[*miner]struct{}
	tripsEnd time.Time
	trail    trail
	recent   recent

	waiting map[aitbc.JobID]*waiting
	held    map[aitbc.JobID]holding
	queues  map[string]*queue
	ring    *list.List    // of *queue: the models with waiting jobs
	turn    *list.Element // whose turn it is in ring; nil: the first's
}

// New makes an empty scheduler. The configuration must be valid; the randomness spreads load and
// gives newcomers their share.
func New(config Config, random *rand.Rand) *Scheduler {
	return &Scheduler{
		config:  config,
		rand:    random,
		miners:  make(map[aitbc.AccountID]*miner),
		past:    list.New(),
		models:  make(map[string]int),
		pullers: make(map[string]map[*miner]struct{}),
		pools:   make(map[poolKey]*pool),
		speeds:  make(map[string]*speed),
		paces:   make(map[string]*pace),
		trips:   make(map[*miner]struct{}),
		waiting: make(map[aitbc.JobID]*waiting),
		held:    make(map[aitbc.JobID]holding),
		queues:  make(map[string]*queue),
		ring:    list.New(),
	}
}

// Enqueue makes a job wait. One that waits already or is held stays as it is.
func (s *Scheduler) Enqueue(j Job) {
	if s.waiting[j.ID] != nil || s.holds(j.ID) {
		return
	}
	j.Cost = min(max(j.Cost, 1), MaxCost)
	q := s.queues[j.Model]
	if q == nil {
		q = newQueue(j.Model)
		q.place = s.ring.PushBack(q)
		s.queues[j.Model] = q
	}
	s.waiting[j.ID] = q.add(j)
}

// Dequeue takes a waiting job out; one that does not wait is left alone.
func (s *Scheduler) Dequeue(id aitbc.JobID) {
	if w := s.waiting[id]; w != nil {
		s.take(w)
	}
}

func (s *Scheduler) take(w *waiting) {
	delete(s.waiting, w.job.ID)
	q := w.line.flow.queue
	q.remove(w)
	if !q.empty() {
		return
	}
	if s.turn == q.place {
		s.turn = q.place.Next()
	}
	s.ring.Remove(q.place)
	delete(s.queues, q.model)
}

// Next hands out up to maximum jobs and reserves their slots.
func (s *Scheduler) Next(now time.Time, maximum int) []Decision {
	s.enter(now)
	var decisions []Decision
	for idle := 0; len(decisions) < maximum && idle < s.ring.Len(); {
		if s.turn == nil {
			s.turn = s.ring.Front()
		}
		q := s.turn.Value.(*queue)
		s.turn = s.turn.Next()
		w := q.next(s.canPlace)
		if w == nil {
			idle++
			continue
		}
		idle = 0
		m, choice := s.choose(now, w.job)
		decisions = append(decisions, s.hand(now, w, m, choice))
	}
	return decisions
}

func (s *Scheduler) hand(now time.Time, w *waiting, m *miner, choice Choice) Decision {
	s.take(w)
	return s.give(now, w.job, m, choice)
}

func (s *Scheduler) give(now time.Time, j Job, m *miner, choice Choice) Decision {
	s.recent.add(passed{at: now, job: j, winner: m.ID, choice: choice})
	s.hold(j.ID, m, j.Model)
	s.tick(now, j.Model)
	return Decision{Job: j.ID, Miner: m.ID, Digest: m.models[j.Model].Digest, Choice: choice}
}

// HandOver hands out a job that has not waited, as if it came to wait and Next were called. There is no
// decision when others wait for its model, or no able miner has a free slot.
func (s *Scheduler) HandOver(now time.Time, j Job) (Decision, bool) {
	s.enter(now)
	if s.queues[j.Model] != nil || s.holds(j.ID) || !s.canPlace(j) {
		return Decision{}, false
	}
	m, choice := s.choose(now, j)
	return s.give(now, j, m, choice), true
}

// Claim hands one waiting job to one miner. When it may not have it, or the job does not wait,
// there is no decision; the obstacles say why.
func (s *Scheduler) Claim(now time.Time, id aitbc.JobID, by aitbc.AccountID) (Decision, []Obstacle, bool) {
	s.enter(now)
	w, m := s.waiting[id], s.miners[by]
	if w == nil {
		return Decision{}, nil, false
	}
	if m == nil || m.gone {
		return Decision{}, []Obstacle{Away}, false
	}
	if obstacles := m.obstacles(w.job); obstacles != 0 {
		return Decision{}, obstacles.words(), false
	}
	choice := Choice{By: ByClaim, Eligible: s.eligible(w.job), Compared: []Scored{{Miner: m.ID, Score: s.score(m, w.job)}}, Moment: s.trail.passed}
	return s.hand(now, w, m, choice), nil, true
}

// Hold reserves a slot for a lease that exists already, as after a restart. It may exceed the
// miner's slots: what is so is so.
func (s *Scheduler) Hold(id aitbc.JobID, by aitbc.AccountID, model string) {
	if !s.holds(id) && s.waiting[id] == nil {
		s.hold(id, s.miner(by), model)
	}
}

func (s *Scheduler) holds(id aitbc.JobID) bool { return s.held[id].miner != nil }

func (s *Scheduler) hold(id aitbc.JobID, m *miner, model string) {
	s.held[id] = holding{m, model}
	s.tally(m, model, 1)
}

// Release frees the slot of a job; one that is not held is left alone.
func (s *Scheduler) Release(id aitbc.JobID) {
	h := s.held[id]
	if h.miner == nil {
		return
	}
	delete(s.held, id)
	s.tally(h.miner, h.model, -1)
	if h.miner.gone && h.miner.held == 0 {
		s.trim()
	}
}

// Waiting gives how many jobs wait.
func (s *Scheduler) Waiting() int { return len(s.waiting) }

// Waits reports whether a job waits.
func (s *Scheduler) Waits(id aitbc.JobID) bool { return s.waiting[id] != nil }

// InLine gives how many jobs of a client and a priority wait for a model.
func (s *Scheduler) InLine(model string, priority aitbc.Priority, client aitbc.AccountID) int {
	if q := s.queues[model]; q != nil {
		if f := q.tier(priority).byOwner[client]; f != nil {
			return f.jobs
		}
	}
	return 0
}

// Spare gives, for each model that miners with free slots have and no job waits for here, how many of
// their slots are free.
func (s *Scheduler) Spare() map[string]int {
	spare := make(map[string]int)
	for key, p := range s.pools {
		if !key.digest.IsZero() || s.queues[key.model] != nil {
			continue
		}
		for _, side := range []*btree.BTreeG[*miner]{p.warm, p.cold} {
			side.Scan(func(m *miner) bool {
				spare[key.model] += m.freeOf(key.model)
				return true
			})
		}
	}
	return spare
}

// Free gives the models that miners with a free slot have.
func (s *Scheduler) Free() []string {
	var models []string
	for key := range s.pools {
		if key.digest.IsZero() {
			models = append(models, key.model)
		}
	}
	return models
}

// Models gives how many models the known miners have.
func (s *Scheduler) Models() int { return len(s.models) }

// Wake gives when Next may hand out more although nothing else happened; zero: never.
func (s *Scheduler) Wake() time.Time { return s.tripsEnd }

// enter lets what has become due by now happen.
func (s *Scheduler) enter(now time.Time) {
	if s.tripsEnd.IsZero() || now.Before(s.tripsEnd) {
		return
	}
	s.tripsEnd = time.Time{}
	for m := range s.trips {
		if now.Before(m.trippedUntil) {
			s.tripsEnd = sooner(s.tripsEnd, m.trippedUntil)
			continue
		}
		delete(s.trips, m)
		m.breaker = probing
		s.index(m)
	}
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
