package scheduler

import (
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Config sets how miners are chosen. Begin with DefaultConfig.
type Config struct {
	// Weights are the parts of a miner's score; each part is 0 to 1.
	Weights Weights
	// StakeScale is the stake whose part is worth a half; more stake brings ever less.
	StakeScale aitbc.Amount
	// Sample is how many warm and how many cold miners are compared for a decision, from 1.
	Sample int
	// NewcomerShare is the share of decisions, 0 to 1, that go to a newcomer of the sample, if
	// there is one: a miner with fewer than NewcomerJobs jobs behind it.
	NewcomerShare float64
	NewcomerJobs  int
	// Learning is how much of a miner's reputation one job replaces, above 0 to 1.
	Learning float64
	// BreakAfter blameable failures in a row take a miner out for BreakFor; each further one, of
	// the single job it then gets to try, for twice as long as before, up to BreakMax.
	BreakAfter int
	BreakFor   time.Duration
	BreakMax   time.Duration
	// Remembered is how many miners that are gone keep their reputation here.
	Remembered int
}

// Weights are the parts of a miner's score.
type Weights struct {
	// Stake: stake / (stake + StakeScale).
	Stake float64
	// Reputation: what was learnt of the miner.
	Reputation float64
	// Free: free slots / slots.
	Free float64
	// Warm: 1 when the model is loaded.
	Warm float64
	// Price: 1 - floor / price.
	Price float64
}

// DefaultConfig gives the published formula.
func DefaultConfig() Config {
	return Config{
		Weights:       Weights{Stake: 0.20, Reputation: 0.30, Free: 0.20, Warm: 0.20, Price: 0.10},
		StakeScale:    1_000 * aitbc.UnitsPerCoin,
		Sample:        8,
		NewcomerShare: 0.05,
		NewcomerJobs:  20,
		Learning:      0.1,
		BreakAfter:    3,
		BreakFor:      5 * time.Second,
		BreakMax:      5 * time.Minute,
		Remembered:    4096,
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	w := c.Weights
	fault(min(w.Stake, w.Reputation, w.Free, w.Warm, w.Price) < 0, "scheduler weights %+v: want none below 0", w)
	fault(c.StakeScale <= 0, "scheduler stake scale %s: want more than 0", c.StakeScale)
	fault(c.Sample < 1, "scheduler sample %d: want at least 1", c.Sample)
	fault(!(c.NewcomerShare >= 0 && c.NewcomerShare <= 1), "scheduler newcomer share %g: want 0 to 1", c.NewcomerShare)
	fault(!(c.Learning > 0 && c.Learning <= 1), "scheduler learning %g: want above 0, at most 1", c.Learning)
	fault(c.BreakAfter < 1, "scheduler break after %d: want at least 1", c.BreakAfter)
	fault(c.BreakFor <= 0 || c.BreakMax < c.BreakFor, "scheduler break for %s, at most %s: want more than 0, and no less", c.BreakFor, c.BreakMax)
	fault(c.Remembered < 0, "scheduler remembered %d: want at least 0", c.Remembered)
	return errors.Join(faults...)
}
