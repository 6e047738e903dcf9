package scheduler_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// next hands out the one job that can be.
func next(t *testing.T, s *scheduler.Scheduler) scheduler.Decision {
	t.Helper()
	decisions := s.Next(start, 10)
	require.Len(t, decisions, 1)
	return decisions[0]
}

func TestADecisionIsExplainedByWhatTheMinersWere(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	stranger := miner(2, 1)
	stranger.Models[0].Name = other
	s.SetMiner(stranger)
	s.SetMiner(miner(3, 0))
	s.Enqueue(job(1, 1))
	first := next(t, s)

	s.DropMiner(account(2)) // and everything changes
	s.SetMiner(miner(3, 1))
	s.SetMiner(miner(4, 1))
	s.Release(jobID(1))
	again := job(1, 1)
	again.Excluded = []aitbc.AccountID{account(1)}
	s.Enqueue(again)
	second := next(t, s)
	s.Release(jobID(1))

	told, there := s.ExplainChoice(job(1, 1), first.Miner, first.Choice, 100)
	require.True(t, there)
	require.Equal(t, []scheduler.Finding{
		{Miner: account(2), Obstacles: []scheduler.Obstacle{scheduler.NoModel}},
		{Miner: account(3), Obstacles: []scheduler.Obstacle{scheduler.Full}},
	}, told.Miners)
	told, there = s.ExplainChoice(again, second.Miner, second.Choice, 100)
	require.True(t, there)
	require.Len(t, told.Miners, 2)
	require.Equal(t, scheduler.Finding{Miner: account(1), Obstacles: []scheduler.Obstacle{scheduler.Excluded}}, told.Miners[0])
	require.Equal(t, []scheduler.Obstacle{scheduler.Outscored}, told.Miners[1].Obstacles)
	require.Positive(t, told.Miners[1].Score)
}

func TestOnlyTheFirstMinersAreNamed(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	for n := range 10 {
		s.SetMiner(miner(n, 0))
	}
	s.SetMiner(miner(5, 1))
	s.Enqueue(job(1, 1))
	d := next(t, s)
	told, there := s.ExplainChoice(job(1, 1), d.Miner, d.Choice, 3)
	require.True(t, there)
	require.Equal(t, 9, told.Known)
	require.Equal(t, map[scheduler.Obstacle]int{scheduler.Full: 9}, told.Counts)
	full := []scheduler.Obstacle{scheduler.Full}
	require.Equal(t, []scheduler.Finding{{Miner: account(0), Obstacles: full}, {Miner: account(1), Obstacles: full}, {Miner: account(2), Obstacles: full}}, told.Miners)
}

func TestAClaimIsNotTheOthersFault(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	s.SetMiner(miner(2, 1))
	s.Enqueue(job(1, 1))
	d, _, ok := s.Claim(start, jobID(1), account(2))
	require.True(t, ok)
	told, there := s.ExplainChoice(job(1, 1), d.Miner, d.Choice, 100)
	require.True(t, there)
	require.Equal(t, []scheduler.Finding{{Miner: account(1), Obstacles: []scheduler.Obstacle{scheduler.Claimed}}}, told.Miners)
}

func TestAMinerIsToldOfDecisionsThatPassedIt(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	s.SetMiner(miner(2, 0))
	for n := range 100 {
		s.Enqueue(job(n, 1))
		require.Equal(t, account(1), next(t, s).Miner)
		s.Release(jobID(n))
	}
	cheap := miner(2, 1)
	cheap.Floor = price + 1
	s.SetMiner(cheap)
	s.Enqueue(job(100, 1))
	next(t, s)

	list := s.PassedBy(account(2), 100)
	require.Len(t, list, 64, "more are not remembered")
	require.Equal(t, []scheduler.Obstacle{scheduler.PriceFloor}, list[0].Obstacles)
	require.Equal(t, []scheduler.Obstacle{scheduler.Full}, list[1].Obstacles)
	require.Equal(t, []any{start, tiny, price}, []any{list[1].At, list[1].Model, list[1].Price})
	require.Positive(t, list[1].Winner)
	require.Empty(t, s.PassedBy(account(1), 100), "it got them all")
	require.Len(t, s.PassedBy(account(2), 3), 3)
	require.Empty(t, s.PassedBy(account(9), 3), "nobody knows it")
}

func TestTheTrailIsBounded(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	s.Enqueue(job(1, 1))
	d := next(t, s)
	many := miner(2, 1)
	for n := range 1000 {
		many.Models = append(many.Models, scheduler.Model{Name: other + string(rune('a'+n)), Digest: digest(1)})
	}
	few := miner(2, 1)
	_, there := s.ExplainChoice(job(1, 1), d.Miner, d.Choice, 100)
	require.True(t, there)
	for range 20 { // each of the lists counts as many as it has
		s.SetMiner(many)
		s.SetMiner(few)
	}
	_, there = s.ExplainChoice(job(1, 1), d.Miner, d.Choice, 100)
	require.False(t, there)
	require.Empty(t, s.PassedBy(account(2), 10))
	for range 10 { // the same again changes nothing
		s.SetMiner(few)
	}
	s.Enqueue(job(2, 1))
	d = next(t, s)
	for range 20_000 {
		few.Models[0].Warm = !few.Models[0].Warm
		s.SetMiner(few)
	}
	_, there = s.ExplainChoice(job(2, 1), d.Miner, d.Choice, 100)
	require.True(t, there, "warmth keeps from no job")
}

func BenchmarkExplainADecision(b *testing.B) {
	s := scheduler.New(scheduler.DefaultConfig(), newRandom())
	for n := range 10_000 {
		s.SetMiner(miner(n, 1))
	}
	s.Enqueue(job(1, 1))
	d := s.Next(start, 1)[0]
	for n := 2; n < 8_000; n++ { // two changes each: as long a trail as there is
		s.Enqueue(job(n, 1))
		s.Release(s.Next(start.Add(time.Second), 1)[0].Job)
	}
	for b.Loop() {
		_, there := s.ExplainChoice(job(1, 1), d.Miner, d.Choice, 100)
		require.True(b, there)
	}
}
