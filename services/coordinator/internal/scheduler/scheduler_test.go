package scheduler_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	tiny  = "tiny:latest"
	other = "other:latest"
	price = aitbc.Amount(20_000)
)

func jobID(n int) (id aitbc.JobID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func account(n int) (id aitbc.AccountID) {
	binary.BigEndian.PutUint64(id[12:], uint64(n))
	return id
}

func digest(n byte) aitbc.Hash { return aitbc.Hash{n} }

func newScheduler(t *testing.T, change func(*scheduler.Config)) *scheduler.Scheduler {
	t.Helper()
	config := scheduler.DefaultConfig()
	config.NewcomerShare = 0
	if change != nil {
		change(&config)
	}
	require.NoError(t, config.Validate())
	return scheduler.New(config, newRandom())
}

// job gives job n of a client for the model tiny.
func job(n, client int) scheduler.Job {
	return scheduler.Job{ID: jobID(n), Client: account(client), Model: tiny, Price: price, Cost: 1}
}

// miner gives miner n with slots for the model tiny.
func miner(n, slots int) scheduler.Miner {
	return scheduler.Miner{ID: account(n), Slots: slots, Models: []scheduler.Model{{Name: tiny, Digest: digest(1)}}}
}

func TestAJobGoesToAMinerThatMayRunIt(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		job      func(*scheduler.Job)
		miner    func(*scheduler.Miner)
		obstacle scheduler.Obstacle
	}{
		"an able miner":             {},
		"the pinned digest":         {job: func(j *scheduler.Job) { j.Digest = digest(1) }},
		"exactly the floor":         {miner: func(m *scheduler.Miner) { m.Floor = price }},
		"another model":             {job: func(j *scheduler.Job) { j.Model = other }, obstacle: scheduler.NoModel},
		"another digest":            {job: func(j *scheduler.Job) { j.Digest = digest(2) }, obstacle: scheduler.OtherDigest},
		"a floor above the price":   {miner: func(m *scheduler.Miner) { m.Floor = price + 1 }, obstacle: scheduler.PriceFloor},
		"excluded":                  {job: func(j *scheduler.Job) { j.Excluded = []aitbc.AccountID{account(1)} }, obstacle: scheduler.Excluded},
		"draining":                  {miner: func(m *scheduler.Miner) { m.Draining = true }, obstacle: scheduler.Draining},
		"too little stake":          {miner: func(m *scheduler.Miner) { m.Understaked = true }, obstacle: scheduler.LowStake},
		"away":                      {miner: func(m *scheduler.Miner) { m.Away = true }, obstacle: scheduler.Away},
		"no slots":                  {miner: func(m *scheduler.Miner) { m.Slots = 0 }, obstacle: scheduler.Full},
		"busy with work of its own": {miner: func(m *scheduler.Miner) { m.Busy = 1 }, obstacle: scheduler.Full},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, j, m := newScheduler(t, nil), job(1, 1), miner(1, 1)
			if c.job != nil {
				c.job(&j)
			}
			if c.miner != nil {
				c.miner(&m)
			}
			s.SetMiner(m)
			s.Enqueue(j)
			findings := s.Explain(start, j)
			decisions := s.Next(start, 10)
			if c.obstacle == "" {
				require.Len(t, decisions, 1)
				choice := scheduler.Choice{
					By: scheduler.ByScore, Eligible: 1, Compared: []scheduler.Scored{{Miner: m.ID, Score: findings[0].Score}}, Moment: decisions[0].Choice.Moment,
				}
				require.Equal(t, []scheduler.Decision{{Job: j.ID, Miner: m.ID, Digest: digest(1), Choice: choice}}, decisions)
				require.Empty(t, findings[0].Obstacles)
				require.Positive(t, findings[0].Score)
				require.Zero(t, s.Waiting())
				return
			}
			require.Empty(t, decisions)
			require.Equal(t, []scheduler.Finding{{Miner: m.ID, Obstacles: []scheduler.Obstacle{c.obstacle}}}, findings)
			_, obstacles, ok := s.Claim(start, j.ID, m.ID)
			require.False(t, ok)
			require.Equal(t, []scheduler.Obstacle{c.obstacle}, obstacles)
			passes := c.obstacle == scheduler.Away || c.obstacle == scheduler.Full
			require.Equal(t, passes, s.Hopeful(j))
		})
	}
}

func TestWhatCannotBePlacedBlocksNobodyElse(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 4))
	cheap, pinned, excluding := job(1, 1), job(2, 1), job(3, 1)
	cheap.Price, pinned.Digest, excluding.Excluded = 0, digest(9), []aitbc.AccountID{account(1)}
	m := miner(1, 4)
	m.Floor = 1
	s.SetMiner(m)
	for _, j := range []scheduler.Job{cheap, pinned, excluding, job(4, 1), job(5, 2)} {
		s.Enqueue(j)
	}
	require.ElementsMatch(t, []aitbc.JobID{jobID(4), jobID(5)}, jobsOf(s.Next(start, 10)))
	require.Equal(t, 3, s.Waiting())
}

func TestTheSlotOfAReleasedJobIsFree(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	s.Enqueue(job(1, 1))
	s.Enqueue(job(2, 1))
	require.Equal(t, []aitbc.JobID{jobID(1)}, jobsOf(s.Next(start, 10)))
	require.Empty(t, s.Next(start, 10))
	s.Release(jobID(2)) // not held: nothing happens
	require.Empty(t, s.Next(start, 10))
	s.Release(jobID(1))
	require.Equal(t, []aitbc.JobID{jobID(2)}, jobsOf(s.Next(start, 10)))
}

func TestAClaimTakesAWaitingJobOutOfTurn(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	s.Enqueue(job(1, 1))
	s.Enqueue(job(2, 1))
	decision, obstacles, ok := s.Claim(start, jobID(2), account(1))
	require.True(t, ok)
	require.Empty(t, obstacles)
	require.Equal(t, scheduler.ByClaim, decision.Choice.By)
	decision.Choice = scheduler.Choice{}
	require.Equal(t, scheduler.Decision{Job: jobID(2), Miner: account(1), Digest: digest(1)}, decision)
	require.Empty(t, s.Next(start, 10), "the slot is taken")
	_, _, ok = s.Claim(start, jobID(2), account(1))
	require.False(t, ok, "it waits no more")
}

func TestALeaseFromBeforeARestartHoldsItsSlot(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.Hold(jobID(1), account(1), tiny)
	s.SetMiner(miner(1, 1))
	s.Enqueue(job(1, 1)) // held: stays so
	s.Enqueue(job(2, 1))
	require.Empty(t, s.Next(start, 10))
	s.Release(jobID(1))
	require.Len(t, s.Next(start, 10), 1)
}

func TestAMinerThatIsGoneGetsNothingAndKeepsItsReputation(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, func(c *scheduler.Config) { c.Remembered = 1 })
	for n := 1; n <= 2; n++ {
		s.SetMiner(miner(n, 1))
		s.Report(start, account(n), scheduler.Report{Model: tiny})
	}
	blamed := s.Standing(account(2)).Reputation
	require.Less(t, blamed, 0.5)
	s.DropMiner(account(1))
	s.DropMiner(account(2))
	s.Enqueue(job(1, 1))
	require.Empty(t, s.Next(start, 10))
	require.False(t, s.Has(tiny, aitbc.Hash{}))
	require.Empty(t, s.Explain(start, job(1, 1)))
	require.InDelta(t, 0.5, s.Standing(account(1)).Reputation, 0, "the memory for the gone is bounded")
	s.SetMiner(miner(2, 1))
	require.InDelta(t, blamed, s.Standing(account(2)).Reputation, 0)
	require.Len(t, s.Next(start, 10), 1)
}

func TestHasTellsWhetherAModelIsThere(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	m := miner(1, 1)
	m.Draining = true
	s.SetMiner(m)
	require.True(t, s.Has(tiny, aitbc.Hash{}))
	require.True(t, s.Has(tiny, digest(1)))
	require.False(t, s.Has(tiny, digest(2)))
	require.False(t, s.Has(other, aitbc.Hash{}))
}

func jobsOf(decisions []scheduler.Decision) []aitbc.JobID {
	ids := make([]aitbc.JobID, len(decisions))
	for i, d := range decisions {
		ids[i] = d.Job
	}
	return ids
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
