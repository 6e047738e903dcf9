package attempt

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// MaxSlots bounds what is certainly a mistake.
const MaxSlots = 256

// Config is the owner's wish.
type Config struct {
	// Slots is how many leases run at once, at most [MaxSlots]; 0: as Measured says.
	Slots int
	// Measured gives the slots of each of an engine's models, such as ollama/0.17.4's, by name; 1 to MaxSlots.
	// The most of them run at once in all. It is called at each look, one at a time, and not when Slots is given.
	Measured func(engine string, models []executor.Model) map[string]int
	// PriceFloor is the least price of a compute second; 0: any.
	PriceFloor aitbc.Amount
	// Models are the full names of the models to offer; empty: all.
	Models []string
	// Pullable are the full names of the models, among Models when there are any, that coordinators may have
	// the engine pull.
	Pullable []string
	// MemoryReserve is what the owner keeps of the memory that models run in, in bytes; see [Withhold].
	MemoryReserve int64
	// RefreshInterval is how often engine and devices are looked at; positive.
	RefreshInterval time.Duration
}

// Deps are a runner's parts.
type Deps struct {
	// Key is the miner's ledger key.
	Key ed25519.PrivateKey
	// Executor is the engine.
	Executor Executor
	// Devices are what it computes on.
	Devices Devices
	// Spool keeps the results.
	Spool *spool.Spool
	// Pulls pulls models; nil: nothing is pulled.
	Pulls Pulls
	// Metrics counts; see [NewMetrics].
	Metrics *Metrics
	// Log gets one line for each attempt.
	Log *slog.Logger
}

// Runner runs leases. Its methods may be called at once.
type Runner struct {
	config  Config
	self    aitbc.AccountID
	deps    Deps
	start   chan *run     // to Run; holds as many as may run, so sending never waits
	refresh chan struct{} // to Run's refresher; holds one
	spoken  chan struct{} // to the session: some run has said more; holds one

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every change
	running   map[string]*run
	starts    map[string]time.Time // of running and waiting leases
	sendings  map[string]uint64    // of waiting results: how often each was asked for again
	owners    map[string]party     // of waiting results, those that are known
	ended     ended
	draining  bool
	seen      catalog
	needs     map[string]int64 // by digest, the most memory that a model was seen to take; the refresher's
	readings  []device.Reading // of the GPUs, when last looked at
	completed int32
	failed    int32
}

// run is a lease that runs.
type run struct {
	job     job
	started time.Time
	speech  speech
	cancel  context.CancelCauseFunc // nil until its goroutine has begun
	stop    error                   // why it must stop; the first reason holds
}

// Why a run stops before its answer.
var (
	errSettle  = errors.New("stopped, to be settled")
	errRevoked = errors.New("revoked")
	errLeaving = errors.New("the miner leaves")
)

// New makes a runner, which starts nothing before Run.
func New(config Config, deps Deps) *Runner {
	r := &Runner{
		config:   config,
		self:     aitbc.AccountOf(deps.Key.Public().(ed25519.PublicKey)),
		deps:     deps,
		start:    make(chan *run, MaxSlots),
		refresh:  make(chan struct{}, 1),
		spoken:   make(chan struct{}, 1),
		changed:  make(chan struct{}),
		running:  map[string]*run{},
		starts:   map[string]time.Time{},
		sendings: map[string]uint64{},
		owners:   map[string]party{},
		ended:    newEnded(),
		needs:    map[string]int64{},
	}
	r.config.Models, r.config.Pullable = executor.FullNames(config.Models), executor.FullNames(config.Pullable)
	return r
}

// Run runs what is offered until ctx ends, and returns when every run has ended.
func (r *Runner) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.keepLooking(ctx) })
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				r.Abort()
				return nil
			case started := <-r.start:
				group.Go(func() error {
					r.execute(ctx, started)
					return nil
				})
			}
		}
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("run leases: %w", err)
	}
	return nil
}

// Drain makes the miner take nothing new.
func (r *Runner) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	r.change()
}

// Abort stops all runs; each becomes a failure to tell.
func (r *Runner) Abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, running := range r.running {
		running.halt(errLeaving)
	}
}

// halt stops a run. The runner's mutex is held.
func (x *run) halt(why error) {
	if x.stop == nil {
		x.stop = why
	}
	if x.cancel != nil {
		x.cancel(x.stop)
	}
}

// change wakes whoever watches. The mutex is held.
func (r *Runner) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// slots is how many leases may run at once now. The mutex is held.
func (r *Runner) slots() int {
	if r.config.Slots > 0 {
		return r.config.Slots
	}
	return AllSlots(r.seen.slots)
}

// AllSlots gives how many leases of all models together run at once, of the slots by model.
func AllSlots(slots map[string]int) int {
	all := 1
	for _, n := range slots {
		all = max(all, n)
	}
	return all
}

// slotsOf is how many leases of one model may run at once, when that is fewer; 0: as many as of all. The
// mutex is held.
func (r *Runner) slotsOf(model string) int {
	if own := r.seen.slots[model]; r.config.Slots == 0 && own < r.slots() {
		return own
	}
	return 0
}

// countOf is how many leases of a model run. The mutex is held.
func (r *Runner) countOf(model string) (n int) {
	for _, x := range r.running {
		if executor.FullName(x.job.lease.Model) == model {
			n++
		}
	}
	return n
}

func (r *Runner) allowed(model string) bool {
	return len(r.config.Models) == 0 || slices.Contains(r.config.Models, model)
}
