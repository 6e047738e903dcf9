package replica

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
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	replicav1 "github.com/aitbc/aitbc/gen/go/aitbc/replica/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// Config sets the rhythm. Begin with DefaultConfig.
type Config struct {
	// Beat is how often a replica says that it lives. Default 1 s.
	Beat time.Duration
	// Lifetime is how long it may be silent before others take over. Default 5 s.
	Lifetime time.Duration
	// Relief is how often a replica with free slots looks for jobs that wait elsewhere. Default
	// 250 ms.
	Relief time.Duration
	// CallTimeout bounds a call between replicas. Default 3 s.
	CallTimeout time.Duration
}

// DefaultConfig gives the defaults.
func DefaultConfig() Config {
	return Config{Beat: time.Second, Lifetime: 5 * time.Second, Relief: 250 * time.Millisecond, CallTimeout: 3 * time.Second}
}

// Jobs runs jobs; *dispatch.Dispatcher does, and says what the methods do.
type Jobs interface {
	Take(ctx context.Context, shard int32) error
	Has(shard int32) bool
	Relieve(ctx context.Context, shards []int32) (map[int32][]aitbc.JobID, error)
	Recheck(ctx context.Context) error
	Lost(ctx context.Context, ids []aitbc.JobID) error
	Waiting() bool
	SetOthers(others dispatch.Others)
	Settle(ctx context.Context, outcomes []job.Outcome) error
	Miners() []dispatch.MinerView
}

// Settlement settles with the ledger; package settlement has one.
type Settlement interface {
	Run(ctx context.Context) error
	Notify()
	Decide(id aitbc.JobID, kind job.Message) (job.Outcome, bool)
}

// Store is what a Member needs of the store.
type Store interface {
	store.Cluster
	// Shards gives the shards of those jobs that are not done.
	Shards(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]int32, error)
	// Job reads a job. Errors: store.ErrNotFound.
	Job(ctx context.Context, id aitbc.JobID) (job.Job, error)
}

// Deps are what a Member needs; all of it is required.
type Deps struct {
	Store Store
	// ChainID and Key are the operator's: they make and check tokens.
	ChainID string
	Key     ed25519.PrivateKey
	// Log gets a line when replicas come and go, and when duties do.
	Log *slog.Logger
}

// Member is this process among the replicas.
type Member struct {
	config Config
	deps   Deps
	self   int64

	// Set by Attach, before Run.
	jobs       Jobs
	settlement Settlement

	answers map[string]func() proto.Message

	poke  chan struct{} // capacity 1: look for jobs that wait elsewhere
	owing chan *peer    // capacity 1: tell this one that the ledger is owed something

	mu         sync.Mutex // guards all below
	membership store.Membership
	peers      map[int64]*peer
	miners     map[int64][]dispatch.MinerView // of the other replicas, as they said last
}

// Join makes this process a replica.
func Join(ctx context.Context, config Config, deps Deps, r store.Replica) (*Member, error) {
	membership, err := deps.Store.Join(ctx, r, config.Lifetime)
	if err != nil {
		return nil, err
	}
	m := &Member{
		config: config, deps: deps, self: membership.Self, poke: make(chan struct{}, 1), owing: make(chan *peer, 1),
		answers: answers(),
		peers:   make(map[int64]*peer), miners: make(map[int64][]dispatch.MinerView),
	}
	return m, m.meet(membership)
}

// Shards gives the shards that it has.
func (m *Member) Shards() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var shards []int32
	for _, duty := range m.membership.Duties {
		if duty != store.Settling {
			shards = append(shards, duty)
		}
	}
	return shards
}

// Attach tells it who runs jobs and who settles.
func (m *Member) Attach(jobs Jobs, settlement Settlement) { m.jobs, m.settlement = jobs, settlement }

// Run does what falls to this replica until ctx ends; then it leaves, so that others need not wait.
// Errors: store.ErrFenced.
func (m *Member) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return m.beats(running, group) })
	group.Go(func() error { return m.relief(running) })
	group.Go(func() error { return m.survey(running) })
	group.Go(func() error { return m.tell(running) })
	err := group.Wait()
	if ctx.Err() != nil && !errors.Is(err, store.ErrFenced) {
		err = errors.Join(err, m.leave(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, m.meet(store.Membership{}))
}

func (m *Member) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.config.CallTimeout)
	defer cancel()
	return m.deps.Store.Leave(ctx)
}

// beats keeps this replica alive and takes up the duties that come to it.
func (m *Member) beats(ctx context.Context, group *errgroup.Group) error {
	tick := time.NewTicker(m.config.Beat)
	defer tick.Stop()
	settles, failing := false, false
	for {
		duties := m.duties()
		if !settles && duties[store.Settling] {
			settles = true
			m.deps.Log.InfoContext(ctx, "this replica settles with the ledger", "replica", m.self)
			group.Go(func() error { return m.settlement.Run(ctx) })
		}
		if err := m.takeShards(ctx, duties); err != nil && ctx.Err() == nil {
			m.deps.Log.WarnContext(ctx, "a shard of the jobs cannot be taken over yet", obs.KeyError, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		err := m.beat(ctx)
		if errors.Is(err, store.ErrFenced) {
			return err
		}
		if err != nil && !failing && ctx.Err() == nil {
			m.deps.Log.WarnContext(ctx, "this replica cannot say that it lives", obs.KeyError, err)
		}
		failing = err != nil
	}
}

func (m *Member) duties() map[int32]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	duties := make(map[int32]bool, len(m.membership.Duties))
	for _, duty := range m.membership.Duties {
		duties[duty] = true
	}
	return duties
}

// Settles reports whether this replica has the duty of settling, and what goes with it.
func (m *Member) Settles() bool { return m.duties()[store.Settling] }

func (m *Member) takeShards(ctx context.Context, duties map[int32]bool) error {
	for shard := range duties {
		if shard == store.Settling || m.jobs.Has(shard) {
			continue
		}
		if err := m.jobs.Take(ctx, shard); err != nil {
			return err
		}
		m.deps.Log.InfoContext(ctx, "took over a shard of the jobs", "shard", shard, "replica", m.self)
	}
	return nil
}

func (m *Member) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.config.Lifetime)
	defer cancel()
	next, err := m.deps.Store.Beat(ctx)
	if err != nil {
		return err
	}
	return m.meet(next)
}

// relief takes jobs that wait elsewhere when there are free slots here, and tells others when it is
// the other way round.
func (m *Member) relief(ctx context.Context) error {
	tick := time.NewTicker(m.config.Relief)
	defer tick.Stop()
	for waited := false; ; {
		select {
		case <-m.poke:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		shards := m.foreignShards()
		if len(shards) == 0 {
			continue
		}
		took, err := m.jobs.Relieve(ctx, shards)
		if err != nil && ctx.Err() == nil {
			m.deps.Log.WarnContext(ctx, "jobs that wait elsewhere cannot be taken", obs.KeyError, err)
		}
		for shard, ids := range took {
			m.tookFrom(ctx, shard, ids)
		}
		waits := m.jobs.Waiting()
		if waits && !waited {
			for _, p := range m.others() {
				m.notify(ctx, p, &replicav1.NotifyRequest{Waiting: true})
			}
		}
		waited = waits
	}
}

// tookFrom tells the replica that had jobs that they are here now.
func (m *Member) tookFrom(ctx context.Context, shard int32, ids []aitbc.JobID) {
	m.deps.Log.InfoContext(ctx, "took jobs that waited at another replica", "jobs", len(ids), "shard", shard)
	p, _ := m.holder(shard)
	if p == nil {
		return
	}
	request := &replicav1.NotifyRequest{}
	for _, id := range ids {
		request.Taken = append(request.Taken, id[:])
	}
	m.notify(ctx, p, request)
}

func (m *Member) foreignShards() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var shards []int32
	for duty, id := range m.membership.Holders {
		if duty != store.Settling && id != m.self {
			shards = append(shards, duty)
		}
	}
	return shards
}

// notify tells a replica something that it would find out by itself, only later: so a fault is none.
func (m *Member) notify(ctx context.Context, p *peer, request *replicav1.NotifyRequest) {
	client, ctx, cancel, err := m.client(ctx, p)
	if err != nil {
		return
	}
	defer cancel()
	if _, err := client.Notify(ctx, request); err != nil {
		m.deps.Log.DebugContext(ctx, "a replica did not hear", "replica", p.ID, obs.KeyError, err)
	}
}

// survey keeps what the miners of the others are, and forgets jobs that others have taken.
func (m *Member) survey(ctx context.Context) error {
	tick := time.NewTicker(m.config.Beat)
	defer tick.Stop()
	for {
		var asking sync.WaitGroup
		for _, p := range m.others() {
			asking.Go(func() { m.ask(ctx, p) })
		}
		asking.Wait()
		if !m.Alone() {
			if err := m.jobs.Recheck(ctx); err != nil && ctx.Err() == nil {
				m.deps.Log.WarnContext(ctx, "whether other replicas have taken jobs is not known", obs.KeyError, err)
			}
		}
		m.jobs.SetOthers(m.modelsElsewhere())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *Member) ask(ctx context.Context, p *peer) {
	client, ctx, cancel, err := m.client(ctx, p)
	if err != nil {
		return
	}
	defer cancel()
	answer, err := client.ListMiners(ctx, &replicav1.ListMinersRequest{})
	if err != nil {
		return // it has a second to answer next time, or it will be removed
	}
	var views []dispatch.MinerView
	for _, miner := range answer.GetMiners() {
		if view, err := minerView(miner); err == nil {
			views = append(views, view)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers[p.ID] != nil {
		m.miners[p.ID] = views
	}
}

func minerView(miner *coordinatorv1.Miner) (dispatch.MinerView, error) {
	id, err := aitbc.ParseAccountID(miner.GetMinerId())
	if err != nil {
		return dispatch.MinerView{}, fmt.Errorf("read a miner of another replica: %w", err)
	}
	stake, err := aitbc.ParseAmount(miner.GetStake())
	if err != nil {
		return dispatch.MinerView{}, fmt.Errorf("read a miner of another replica: %w", err)
	}
	view := dispatch.MinerView{ID: id, Status: miner.GetStatus(), Stake: stake, ConnectedAt: miner.GetConnectedAt().AsTime()}
	view.Standing.Reputation, view.Standing.Held = miner.GetReputation(), int(miner.GetRunning())
	view.State = dispatch.MinerState{
		Slots: int(miner.GetSlots()), Engine: miner.GetEngine(), Models: miner.GetModels(), Devices: miner.GetDevices(),
		Pullable: miner.GetPullableModels(),
	}
	return view, nil
}

func (m *Member) modelsElsewhere() dispatch.Others {
	m.mu.Lock()
	defer m.mu.Unlock()
	others := dispatch.Others{Models: make(map[string][]aitbc.Hash), Pullable: make(map[string][]int32)}
	shards := make(map[int64][]int32)
	for duty, id := range m.membership.Holders {
		if duty != store.Settling {
			shards[id] = append(shards[id], duty)
		}
	}
	for id, views := range m.miners {
		for _, view := range views {
			for _, model := range view.State.Models {
				if digest, err := aitbc.ParseHash(model.GetDigest()); err == nil {
					others.Models[model.GetName()] = append(others.Models[model.GetName()], digest)
				}
			}
			for _, model := range view.State.Pullable {
				if known := others.Pullable[model]; len(shards[id]) > 0 && !slices.Contains(known, shards[id][0]) {
					others.Pullable[model] = append(known, shards[id]...)
				}
			}
		}
	}
	return others
}
