package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/evilminer"
)

const (
	// idleMiners is how many miners are connected, connecting how many at once: fewer than may be in the
	// middle of proving their keys from one address.
	idleMiners = 10_000
	connecting = 128
	// beatEvery is how often each of them says that it is there; watched is for how long that is measured.
	beatEvery = 20 * time.Second
	watched   = 60 * time.Second
	// usualBeat is what the share of a core is given for.
	usualBeat = 30 * time.Second
	// holding is how many of them have a job while all are cut off.
	holding  = 100
	adminKey = "admin_dev_key_1"
)

// minersPart connects many miners that have nothing to do, watches what they cost, cuts all of them off
// and has them come back. The miners are in this process: what is measured is the coordinator's.
func minersPart(ctx context.Context, o options) (_ []figure, err error) {
	o.store = ""
	f, err := startFleet(ctx, o, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	c := &crowd{fleet: f, miners: make([]*evilminer.Miner, cmp.Or(o.jobs, idleMiners))}
	if err := c.makeKeys(ctx); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	before, _, err := memory(f.PID())
	if err != nil {
		return nil, err
	}
	connected, err := c.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	cost, err := c.watch(ctx)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	after, _, err := memory(f.PID())
	if err != nil {
		return nil, err
	}
	returned, err := c.dropAndReturn(ctx)
	if err != nil {
		return nil, fmt.Errorf("drop and return: %w", err)
	}
	n := len(c.miners)
	one := func(name, unit string, value float64) figure {
		return figure{Part: "miners", Name: fmt.Sprintf("%d idle miners: %s", n, name), Unit: unit, Ours: value, Runs: n, Min: value, Max: value}
	}
	return []figure{
		one("memory for each", "kB", float64(after-before)/1000/float64(n)),
		one("first connected within", "s", connected.Seconds()),
		one("a core's share at a heartbeat each 30 s", "%", 100*cost.Seconds()*float64(n)/usualBeat.Seconds()),
		one(fmt.Sprintf("all dropped and returned, %d leases kept, within", holding), "s", returned.Seconds()),
	}, nil
}

// crowd is many miners at one coordinator.
type crowd struct {
	*fleet
	keys   []ed25519.PrivateKey
	miners []*evilminer.Miner
}

// makeKeys lets each miner belong to the fleet.
func (c *crowd) makeKeys(ctx context.Context) error {
	admin, err := aitbc.New(c.CoordinatorGRPC, aitbc.WithAPIKey(adminKey))
	if err != nil {
		return err
	}
	defer admin.Close()
	c.keys = make([]ed25519.PrivateKey, len(c.miners))
	return c.each(ctx, func(ctx context.Context, i int) error {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		c.keys[i] = private
		_, err = admin.CreateKey(ctx, aitbc.CreateKeyRequest{Name: fmt.Sprint("miner ", i), Scope: aitbc.ScopeMiner, Account: aitbc.AccountOf(public)})
		return err
	})
}

// each calls do for every miner, some at once.
func (c *crowd) each(ctx context.Context, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(connecting)
	for i := range c.miners {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

func (c *crowd) connect(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	err = c.each(ctx, func(_ context.Context, i int) (err error) {
		// The session lives as long as the bench, not as the call that opens it.
		c.miners[i], err = evilminer.Connect(context.WithoutCancel(ctx), c.CoordinatorGRPC, c.keys[i], workerModel, nil)
		return err
	})
	return time.Since(began), err
}

// watch has the miners send heartbeats and gives the coordinator's CPU time for one.
func (c *crowd) watch(ctx context.Context) (time.Duration, error) {
	before, err := cpuTime(c.PID())
	if err != nil {
		return 0, err
	}
	gap := beatEvery / time.Duration(len(c.miners))
	beats := int(watched / gap)
	began := time.Now()
	for i := range beats {
		select {
		case <-time.After(time.Until(began.Add(time.Duration(i) * gap))):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if err := c.miners[i%len(c.miners)].Offer(1, workerModel); err != nil {
			return 0, err
		}
	}
	after, err := cpuTime(c.PID())
	return (after - before) / time.Duration(beats), err
}

// dropAndReturn gives some miners a job, cuts all off, connects them again, and has the jobs finished by
// those that had them, in the attempt that they had.
func (c *crowd) dropAndReturn(ctx context.Context) (time.Duration, error) {
	holders := make(map[aitbc.JobID]aitbc.AccountID, holding)
	for range holding {
		id, err := c.submit(ctx)
		if err != nil {
			return 0, err
		}
		if holders[id], err = c.holder(ctx, id); err != nil {
			return 0, err
		}
	}
	for _, m := range c.miners {
		if err := m.Close(); err != nil {
			return 0, err
		}
	}
	took, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	byID := make(map[aitbc.AccountID]*evilminer.Miner, len(c.miners))
	for i, key := range c.keys {
		byID[aitbc.AccountOf(key.Public().(ed25519.PublicKey))] = c.miners[i]
	}
	for id, holder := range holders {
		if err := finish(byID[holder], id); err != nil {
			return 0, fmt.Errorf("job %s of miner %s: %w", id, holder, err)
		}
	}
	return took, nil
}

// holder waits until a miner has the job and gives which.
func (c *crowd) holder(ctx context.Context, id aitbc.JobID) (aitbc.AccountID, error) {
	for {
		j, err := c.client.Get(ctx, id)
		if err != nil || !j.MinerID.IsZero() {
			return j.MinerID, err
		}
		if err := ctx.Err(); err != nil {
			return aitbc.AccountID{}, err
		}
	}
}

// finish has a miner take its lease, which is the job's first, and answer it.
func finish(m *evilminer.Miner, id aitbc.JobID) error {
	lease, err := m.Lease(workerModel)
	if err != nil {
		return err
	}
	statement, err := m.Statement(lease, "done")
	if err != nil {
		return err
	}
	if statement.JobID != id || statement.Attempt != 1 {
		return fmt.Errorf("it has attempt %d of job %s", statement.Attempt, statement.JobID)
	}
	if err := m.Tell(m.Result(lease.GetLeaseId(), "done", statement)); err != nil {
		return err
	}
	_, refused, err := m.Verdict(lease.GetLeaseId())
	if err == nil && refused != "" {
		err = errors.New(refused)
	}
	return err
}
