package scheduler

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Report is how an attempt ended, as far as it says something about its miner.
type Report struct {
	// Model is the model that ran.
	Model string
	// Succeeded: its result was accepted. Otherwise it failed by the miner's fault.
	Succeeded bool
	// TokensPerSecond is how fast it was, by the billed time; 0: not known.
	TokensPerSecond float64
}

// Standing is what the scheduler has learnt of a miner.
type Standing struct {
	// Reputation is 0 to 1.
	Reputation float64
	// Jobs is how many attempts it was learnt from.
	Jobs int
	// Held is how many jobs the miner holds now.
	Held int
	// TrippedUntil is until when it gets nothing; zero: it is not taken out.
	TrippedUntil time.Time
	// Failures is how many of its last attempts in a row failed by its fault.
	Failures int
	// Compared is in how many decisions it was looked at, Won how many of them it won, and Lost the
	// last of the others.
	Compared, Won int64
	Lost          Lost
}

// speed is the usual speed of a model, in tokens per second over all miners.
type speed struct{ mean float64 }

// A success counts at least this much; the rest of it is for speed.
const slowSuccess = 0.6

// Report learns from an attempt. Slowness does not pay: half the usual speed of the model brings
// less reputation than the usual speed.
func (s *Scheduler) Report(now time.Time, by aitbc.AccountID, r Report) {
	s.enter(now)
	m := s.miners[by]
	if m == nil {
		return
	}
	m.jobs++
	if !r.Succeeded {
		m.reputation -= s.config.Learning * m.reputation
		s.fail(now, m)
		return
	}
	worth := slowSuccess + (1-slowSuccess)*s.relativeSpeed(r)
	m.reputation += s.config.Learning * (worth - m.reputation)
	m.failures, m.breaker, m.trippedFor = 0, closed, 0
	delete(s.trips, m)
	s.index(m)
}

// relativeSpeed gives 0 to 1: the speed by the usual one of the model, which it moves.
func (s *Scheduler) relativeSpeed(r Report) float64 {
	if r.TokensPerSecond <= 0 {
		return 0.5
	}
	usual := s.speeds[r.Model]
	if usual == nil {
		if s.models[r.Model] == 0 {
			return 1
		}
		usual = &speed{mean: r.TokensPerSecond}
		s.speeds[r.Model] = usual
	}
	relative := min(r.TokensPerSecond/usual.mean, 1)
	usual.mean += s.config.Learning * (r.TokensPerSecond - usual.mean)
	return relative
}

func (s *Scheduler) fail(now time.Time, m *miner) {
	m.failures++
	switch {
	case m.breaker == open:
		return // a job from before it was taken out
	case m.breaker == probing:
		m.trippedFor = min(2*m.trippedFor, s.config.BreakMax)
	case m.failures >= s.config.BreakAfter:
		m.trippedFor = s.config.BreakFor
	default:
		return
	}
	m.breaker, m.trippedUntil = open, now.Add(m.trippedFor)
	s.trips[m] = struct{}{}
	s.tripsEnd = sooner(s.tripsEnd, m.trippedUntil)
	s.index(m)
}

// Standing gives what is known of a miner; one that is not known has a newcomer's.
func (s *Scheduler) Standing(id aitbc.AccountID) Standing {
	m := s.miners[id]
	if m == nil {
		return Standing{Reputation: newcomerReputation}
	}
	standing := Standing{
		Reputation: m.reputation, Jobs: m.jobs, Held: m.held, Failures: m.failures,
		Compared: m.compared, Won: m.won, Lost: m.lost,
	}
	if m.breaker == open {
		standing.TrippedUntil = m.trippedUntil
	}
	return standing
}
