package dispatch

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// Dispatcher runs jobs. Its methods are safe for concurrent use. They wait for their commit, which
// needs the Committer to run; jobs are handed out and time out while Run runs.
type Dispatcher struct {
	config   Config
	deps     Deps
	operator aitbc.AccountID
	hub      *stream.Hub
	// began is when this process did: the attempts of jobs that are older are numbered by it.
	began time.Time
	// decided are the latest choices of miners, by job.
	decided *lru.Cache[aitbc.JobID, []Decided]

	// submitting counts the submissions that are being worked on.
	submitting atomic.Int64
	// full says that no more jobs are taken until there is room.
	full atomic.Bool

	// commits numbers the changes. It is touched on the committer's goroutine only.
	commits uint64
	// shards are those of the jobs that this replica has; it gets more and loses none.
	shards atomic.Pointer[[]int32]

	// wake tells Run to look again; capacity 1.
	wake chan struct{}

	mu        sync.Mutex // guards all below
	scheduler *scheduler.Scheduler
	live      map[aitbc.JobID]*entry // jobs that are not done nor parked, and those being submitted
	miners    map[aitbc.AccountID]*miner
	sessions  uint64                           // the number of the last session
	models    map[string]time.Time             // when each model that a miner has was first seen
	waiting   map[aitbc.AccountID]aitbc.Amount // to be escrowed for each client's jobs
	usual     map[string]time.Duration         // the metered time of late answers, by model
	used      map[aitbc.AccountID]*usage
	// escrowMoved is closed and replaced when the outcome of some escrow becomes known.
	escrowMoved chan struct{}
	// gathered is from when on it is known which miners there are: one that was here before a
	// restart may still come back until then.
	gathered time.Time
	timers   timers
	tried    map[aitbc.JobID]*entry // queued again after a failure that is not worth waiting
	unsent   map[aitbc.JobID]*entry // leases to send whose payload is not in memory
	cached   int                    // bytes of payloads in entries
	// windows are those of the lines with parked jobs, short those of them to be read on; parked is how
	// many jobs all have. sweepAt is when to look for those that have waited long enough.
	windows map[lineKey]*window
	short   map[lineKey]*window
	parked  int
	sweepAt time.Time
	// deep is how many windows there are, by model.
	deep map[string]int
	// others is what miners of other replicas have and may pull.
	others Others
	// pulls are the models that miners were asked to pull and that are not there yet.
	pulls map[string]*pulling
}

// New makes a dispatcher of the jobs in its shards that are not done. A miner that holds a lease
// has job.UnknownGrace from now to connect.
func New(ctx context.Context, config Config, deps Deps) (*Dispatcher, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("dispatch configuration: %w", err)
	}
	if err := deps.validate(); err != nil {
		return nil, fmt.Errorf("dispatch: %w", err)
	}
	decided, err := lru.New[aitbc.JobID, []Decided](rememberedDecisions)
	if err != nil {
		return nil, fmt.Errorf("dispatch: %w", err)
	}
	d := &Dispatcher{
		decided:     decided,
		config:      config,
		deps:        deps,
		operator:    aitbc.AccountOf(deps.Operator.Public().(ed25519.PublicKey)),
		hub:         stream.NewHub(config.Stream),
		began:       clock(),
		wake:        make(chan struct{}, 1),
		scheduler:   scheduler.New(config.Scheduler, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
		live:        make(map[aitbc.JobID]*entry),
		miners:      make(map[aitbc.AccountID]*miner),
		models:      make(map[string]time.Time),
		waiting:     make(map[aitbc.AccountID]aitbc.Amount),
		windows:     make(map[lineKey]*window),
		short:       make(map[lineKey]*window),
		deep:        make(map[string]int),
		usual:       make(map[string]time.Duration),
		used:        make(map[aitbc.AccountID]*usage),
		escrowMoved: make(chan struct{}),
		tried:       make(map[aitbc.JobID]*entry),
		unsent:      make(map[aitbc.JobID]*entry),
		pulls:       make(map[string]*pulling),
	}
	d.shards.Store(&[]int32{})
	for _, shard := range deps.Shards {
		if _, err := d.takeIn(ctx, shard); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// ChainID gives the chain that everything signed here names.
func (d *Dispatcher) ChainID() string { return d.config.ChainID }

// Operator gives the operator's account.
func (d *Dispatcher) Operator() aitbc.AccountID { return d.operator }

// OperatorKey gives the operator's public key, with which leases and acceptances are checked.
func (d *Dispatcher) OperatorKey() ed25519.PublicKey {
	return d.deps.Operator.Public().(ed25519.PublicKey)
}

// clock gives the time as the store keeps it: UTC, whole microseconds.
func clock() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// signal tells Run to look again.
func (d *Dispatcher) signal() {
	select {
	case d.wake <- struct{}{}:
	default: // it will look anyway
	}
}
