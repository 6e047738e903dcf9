package scheduler

import (
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// By is what decided a choice. The words are the contract's.
type By string

// What decides.
const (
	ByScore    By = "score"
	ByNewcomer By = "newcomer"
	ByClaim    By = "claim"
)

// Choice is how a decision came about.
type Choice struct {
	// By is what decided.
	By By
	// Eligible is how many miners with a free slot could have run the job.
	Eligible int
	// Compared are those of them that were looked at, in no order.
	Compared []Scored
	// Moment says when it was, for ExplainChoice; it has no meaning elsewhere.
	Moment uint64
}

// Scored is a miner with its score for a job.
type Scored struct {
	Miner aitbc.AccountID
	Score float64
}

// Lost is a decision that went to another miner.
type Lost struct {
	// At is when; zero: there was none.
	At time.Time
	// Score is this miner's, Winner's that of the one that got the job.
	Score  float64
	Winner float64
}

// note has the miners of a choice remember it.
func note(now time.Time, candidates []*miner, choice Choice, winner *miner) {
	won := choice.Compared[slices.IndexFunc(choice.Compared, func(s Scored) bool { return s.Miner == winner.ID })].Score
	for i, m := range candidates {
		m.compared++
		if m == winner {
			m.won++
		} else {
			m.lost = Lost{At: now, Score: choice.Compared[i].Score, Winner: won}
		}
	}
}
