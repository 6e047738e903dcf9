package dispatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// Config sets what clients leave open. Zero values are not defaults; begin with DefaultConfig.
type Config struct {
	// ChainID is the ledger's chain id, which everything signed names.
	ChainID string
	// QueueTimeout, ExecutionLimit and TotalTimeout are used where a client sets none.
	QueueTimeout   time.Duration
	ExecutionLimit time.Duration
	TotalTimeout   time.Duration
	// MaxAttempts is how often a job is handed to a miner at most, from 1.
	MaxAttempts uint32
	// OrderLife is until when an order that the coordinator writes may be escrowed, counted from
	// its submission on the ledger's clock; the ledger's own limit caps it.
	OrderLife time.Duration
	// RequestLife is how long an idempotency key is remembered.
	RequestLife time.Duration
	// MaxLive bounds the jobs in memory: those that are under way, or near the head of their line. A
	// submission beyond it is refused as overloaded. However many wait behind them costs no memory.
	MaxLive int
	// Window is how many waiting jobs of a client for a model are in memory, from 1.
	Window int
	// MaxQueue bounds the jobs that are not done, in memory or not; a submission beyond it is refused as
	// overloaded before it has cost anything. 0: no bound.
	MaxQueue int
	// MaxSubmitting bounds the submissions that are worked on at once; one beyond it is refused as
	// overloaded before it has cost anything.
	MaxSubmitting int
	// MaxPulls is how many models miners are asked to pull at once, at most; each of one miner, and each
	// miner one.
	MaxPulls int
	// Quotas bound what one client may have under way.
	Quotas Quotas
	// Batch is the most changes that Run makes in one commit.
	Batch int
	// PayloadCache bounds the prompts of waiting jobs that are kept in memory, bytes. Others are
	// read from the store when they are handed over.
	PayloadCache int
	// Scheduler sets how miners are chosen.
	Scheduler scheduler.Config
	// Stream bounds what watching jobs costs.
	Stream stream.Config
}

// DefaultConfig gives the documented defaults for a chain.
func DefaultConfig(chainID string) Config {
	return Config{
		ChainID:        chainID,
		QueueTimeout:   60 * time.Second,
		ExecutionLimit: 300 * time.Second,
		TotalTimeout:   360 * time.Second,
		MaxAttempts:    3,
		OrderLife:      5 * time.Minute,
		RequestLife:    24 * time.Hour,
		MaxLive:        100_000,
		Window:         256,
		MaxQueue:       1_000_000,
		MaxSubmitting:  1024,
		MaxPulls:       8,
		Quotas:         Quotas{Jobs: 50_000},
		Batch:          256,
		PayloadCache:   64 << 20,
		Scheduler:      scheduler.DefaultConfig(),
		Stream:         stream.DefaultConfig(),
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	positive := func(name string, d time.Duration) {
		if d <= 0 {
			faults = append(faults, fmt.Errorf("%s %s: want more than 0", name, d))
		}
	}
	positive("queue timeout", c.QueueTimeout)
	positive("execution limit", c.ExecutionLimit)
	positive("total timeout", c.TotalTimeout)
	positive("order life", c.OrderLife)
	positive("request life", c.RequestLife)
	if c.ChainID == "" {
		faults = append(faults, errors.New("chain id: want one"))
	}
	if c.MaxAttempts > job.MaxMaxAttempts {
		faults = append(faults, fmt.Errorf("max attempts %d: want at most %d", c.MaxAttempts, job.MaxMaxAttempts))
	}
	if c.MaxAttempts < 1 {
		faults = append(faults, errors.New("max attempts 0: want at least 1"))
	}
	if c.MaxLive < 1 || c.Batch < 1 || c.PayloadCache < 0 {
		faults = append(faults, fmt.Errorf("max live %d, batch %d, payload cache %d: want at least 1, 1 and 0", c.MaxLive, c.Batch, c.PayloadCache))
	}
	if c.Window < 1 {
		faults = append(faults, fmt.Errorf("window %d: want at least 1", c.Window))
	}
	if c.MaxQueue < 0 {
		faults = append(faults, fmt.Errorf("max queue %d: want at least 0", c.MaxQueue))
	}
	if c.MaxPulls < 0 {
		faults = append(faults, fmt.Errorf("max pulls %d: want at least 0", c.MaxPulls))
	}
	if c.MaxSubmitting < 1 {
		faults = append(faults, fmt.Errorf("max submitting %d: want at least 1", c.MaxSubmitting))
	}
	return errors.Join(append(faults, c.Quotas.validate(), c.Scheduler.Validate(), c.Stream.Validate())...)
}
