package scheduler_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

func TestTheBetterMinerIsChosen(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*scheduler.Miner){
		"more stake":  func(m *scheduler.Miner) { m.Stake = 100 * aitbc.UnitsPerCoin },
		"more free":   func(m *scheduler.Miner) { m.Slots = 8 },
		"warm":        func(m *scheduler.Miner) { m.Models[0].Warm = true },
		"lower floor": func(m *scheduler.Miner) { m.Floor = 0 },
	}
	for name, improve := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScheduler(t, nil)
			for n := 1; n <= 5; n++ {
				m := miner(n, 2)
				m.Floor, m.Busy = price/2, 1
				if n == 3 {
					improve(&m)
				}
				s.SetMiner(m)
			}
			s.Enqueue(job(1, 1))
			require.Equal(t, account(3), s.Next(start, 1)[0].Miner)
		})
	}
	t.Run("better reputation", func(t *testing.T) {
		t.Parallel()
		s := newScheduler(t, nil)
		for n := 1; n <= 5; n++ {
			s.SetMiner(miner(n, 2))
		}
		s.Report(start, account(4), scheduler.Report{Model: tiny, Succeeded: true})
		s.Enqueue(job(1, 1))
		require.Equal(t, account(4), s.Next(start, 1)[0].Miner)
	})
}

func TestAmongManyMinersTheOnlyAbleOneIsFound(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, func(c *scheduler.Config) { c.Sample = 1 })
	for n := 1; n <= 200; n++ {
		m := miner(n, 1)
		m.Floor = price + aitbc.Amount(n)
		if n == 137 {
			m.Floor = price
		}
		s.SetMiner(m)
	}
	s.Enqueue(job(1, 1))
	require.Equal(t, account(137), s.Next(start, 1)[0].Miner)

	s = newScheduler(t, func(c *scheduler.Config) { c.Sample = 1 })
	j := job(1, 1)
	for n := 1; n <= 4; n++ {
		s.SetMiner(miner(n, 1))
		if n != 2 {
			j.Excluded = append(j.Excluded, account(n))
		}
	}
	s.Enqueue(j)
	require.Equal(t, account(2), s.Next(start, 1)[0].Miner)
}

func TestEqualMinersShareTheWork(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	for n := 1; n <= 50; n++ {
		s.SetMiner(miner(n, 10))
	}
	got := map[aitbc.AccountID]int{}
	for n := range 250 {
		s.Enqueue(job(n, 1))
	}
	for _, d := range s.Next(start, 250) {
		got[d.Miner]++
	}
	require.Greater(t, len(got), 45)
	for id, n := range got {
		require.LessOrEqual(t, n, 10, "miner %s", id)
	}
}

func TestNewcomersGetTheirShare(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, func(c *scheduler.Config) { c.NewcomerShare, c.NewcomerJobs = 0.1, 5 })
	s.SetMiner(miner(1, 1))
	old := miner(2, 1)
	old.Stake = 1_000_000 * aitbc.UnitsPerCoin
	s.SetMiner(old)
	for range 5 {
		s.Report(start, account(2), scheduler.Report{Model: tiny, Succeeded: true})
	}
	newcomers := 0
	for n := range 2000 {
		s.Enqueue(job(n, 1))
		d := s.Next(start, 1)
		s.Release(d[0].Job)
		if d[0].Miner == account(1) {
			newcomers++
		}
	}
	require.InDelta(t, 200, newcomers, 60)
}

func TestAFailingMinerIsTakenOutAndTriedAgainWithOneJob(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 4))
	failed := scheduler.Report{Model: tiny}
	for n := range 4 {
		s.Enqueue(job(n, 1))
	}
	s.Report(start, account(1), failed)
	s.Report(start, account(1), failed)
	require.Zero(t, s.Wake())
	s.Report(start, account(1), failed)
	require.Equal(t, start.Add(5*time.Second), s.Wake())
	require.Equal(t, s.Wake(), s.Standing(account(1)).TrippedUntil)
	require.Empty(t, s.Next(start.Add(5*time.Second-1), 10))
	require.True(t, s.Hopeful(job(1, 1)), "it will be back")

	probe := s.Next(start.Add(5*time.Second), 10)
	require.Len(t, probe, 1, "one job to try")
	s.Release(probe[0].Job)
	s.Report(start.Add(6*time.Second), account(1), failed)
	require.Equal(t, start.Add(16*time.Second), s.Wake(), "twice as long")

	probe = s.Next(start.Add(16*time.Second), 10)
	require.Len(t, probe, 1)
	s.Report(start.Add(17*time.Second), account(1), scheduler.Report{Model: tiny, Succeeded: true})
	s.Release(probe[0].Job)
	require.Len(t, s.Next(start.Add(17*time.Second), 10), 2, "it has all its slots again")
	require.Zero(t, s.Wake())
}

func TestSlownessBringsLessReputation(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	s.SetMiner(miner(2, 1))
	for range 100 {
		s.Report(start, account(1), scheduler.Report{Model: tiny, Succeeded: true, TokensPerSecond: 100})
		s.Report(start, account(2), scheduler.Report{Model: tiny, Succeeded: true, TokensPerSecond: 10})
	}
	fast, slow := s.Standing(account(1)).Reputation, s.Standing(account(2)).Reputation
	require.Greater(t, fast, 0.9)
	require.Less(t, slow, 0.75)
	require.LessOrEqual(t, fast, 1.0)
}
