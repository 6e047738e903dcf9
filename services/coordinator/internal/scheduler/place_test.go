package scheduler_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// The place that is said is the one that comes true while nothing else happens.
func TestThePlaceOfAWaitingJobIsWhenItIsHandedOut(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	said := map[aitbc.JobID]int{}
	n := 0
	for client, jobs := range []int{9, 1, 3} {
		for range jobs {
			n++
			j := job(n, client+1)
			j.Cost = scheduler.MaxCost // one job a turn
			s.Enqueue(j)
		}
	}
	for i := 1; i <= n; i++ {
		place, ok := s.Place(start, jobID(i), noMore)
		require.True(t, ok)
		require.Zero(t, place.Wait, "nothing was handed out yet")
		said[jobID(i)] = place.Position
	}
	s.SetMiner(miner(1, 100))
	for i, decision := range s.Next(start, 100) {
		require.InDelta(t, i+1, said[decision.Job], 2, "job %d", i)
	}
	_, ok := s.Place(start, jobID(1), noMore)
	require.False(t, ok, "it waits no more")
}

func TestTheWaitIsEstimatedFromThePaceOfTheLastMinute(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	for n := 1; n <= 120; n++ {
		s.Enqueue(job(n, 1))
	}
	now := start
	for n := 1; n <= 100; n++ { // two a second
		now = now.Add(500 * time.Millisecond)
		require.Len(t, s.Next(now, 1), 1)
		s.Release(jobID(n))
	}
	place, ok := s.Place(now, jobID(110), noMore)
	require.True(t, ok)
	require.Equal(t, 10, place.Position)
	require.InDelta(t, 5, place.Wait.Seconds(), 0.5)
	place, _ = s.Place(now.Add(10*time.Minute), jobID(110), noMore)
	require.Zero(t, place.Wait, "that was long ago")
}

func TestAChoiceTellsWhoWasComparedAndWhoLost(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, func(c *scheduler.Config) { c.NewcomerShare = 0 })
	better := miner(1, 2)
	better.Stake = 1_000 * aitbc.UnitsPerCoin
	s.SetMiner(better)
	s.SetMiner(miner(2, 2))
	s.Enqueue(job(1, 1))
	decision := s.Next(start, 1)[0]
	require.Equal(t, account(1), decision.Miner)
	require.Equal(t, 2, decision.Choice.Eligible)
	require.Len(t, decision.Choice.Compared, 2)
	winner, loser := s.Standing(account(1)), s.Standing(account(2))
	require.EqualValues(t, 1, winner.Compared)
	require.EqualValues(t, 1, winner.Won)
	require.EqualValues(t, 0, loser.Won)
	require.True(t, start.Equal(loser.Lost.At))
	require.Greater(t, loser.Lost.Winner, loser.Lost.Score)
}

func TestAMinerIsToldWhatKeepsItFromWhatWaits(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	m := miner(1, 0)
	m.Floor = price
	s.SetMiner(m)
	cheap := job(3, 1)
	cheap.Price = price - 1
	for _, j := range []scheduler.Job{job(1, 1), job(2, 2), cheap} {
		s.Enqueue(j)
	}
	own, kinds := s.ExplainMiner(start, m.ID, 10)
	require.Equal(t, []scheduler.Obstacle{scheduler.Full}, own)
	require.Equal(t, []scheduler.Kind{
		{Model: tiny, Price: price, Jobs: 2, Obstacles: []scheduler.Obstacle{scheduler.Full}},
		{Model: tiny, Price: price - 1, Jobs: 1, Obstacles: []scheduler.Obstacle{scheduler.PriceFloor, scheduler.Full}},
	}, kinds)
	_, kinds = s.ExplainMiner(start, m.ID, 1)
	require.Len(t, kinds, 1)
	own, kinds = s.ExplainMiner(start, account(9), 10)
	require.Equal(t, []scheduler.Obstacle{scheduler.Away}, own)
	require.Empty(t, kinds)
}

func TestTheNextJobsPlaceIsWhereItComesToStand(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	for n, client := range []int{1, 1, 2, 1, 3, 4, 2, 2, 1, 5} {
		j := job(n+1, client)
		next := s.PlaceBehind(start, j, s.InLine(j.Model, j.Priority, j.Client), noMore)
		s.Enqueue(j)
		place, ok := s.Place(start, j.ID, noMore)
		require.True(t, ok)
		require.Equal(t, place, next)
	}
}

// noMore says that nothing waits elsewhere.
func noMore(aitbc.Priority, aitbc.AccountID) int { return 0 }

func TestHigherPrioritiesAreAheadAsFarAsTheyGoFirst(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	for n := range 20 {
		prioritised(s, n, 1, aitbc.PriorityHigh)
	}
	prioritised(s, 100, 2, aitbc.PriorityNormal)
	prioritised(s, 101, 2, aitbc.PriorityNormal)
	first, _ := s.Place(start, jobID(100), noMore)
	require.Equal(t, 16, first.Position, "fifteen go before it, then it is its turn")
	second, _ := s.Place(start, jobID(101), noMore)
	require.Equal(t, 22, second.Position, "all of them and the one before it")
	high, _ := s.Place(start, jobID(19), noMore)
	require.Equal(t, 20, high.Position)
	more := func(p aitbc.Priority, _ aitbc.AccountID) int { return 1000 * int(p) }
	second, _ = s.Place(start, jobID(101), more)
	require.Equal(t, 32, second.Position)
}
