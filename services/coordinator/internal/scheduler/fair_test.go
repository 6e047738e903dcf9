package scheduler_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// drain hands out n jobs through one slot and counts the work by client.
func drain(t *testing.T, s *scheduler.Scheduler, jobs map[aitbc.JobID]scheduler.Job, n int) map[aitbc.AccountID]int {
	t.Helper()
	work := map[aitbc.AccountID]int{}
	for range n {
		d := s.Next(start, 1)
		require.Len(t, d, 1)
		s.Release(d[0].Job)
		work[jobs[d[0].Job].Client] += jobs[d[0].Job].Cost
	}
	return work
}

func TestClientsShareAModelWhateverTheyQueue(t *testing.T) {
	t.Parallel()
	s, jobs := newScheduler(t, nil), map[aitbc.JobID]scheduler.Job{}
	s.SetMiner(miner(1, 1))
	add := func(client, count, cost int) {
		for range count {
			j := job(len(jobs), client)
			j.Cost = cost
			jobs[j.ID] = j
			s.Enqueue(j)
		}
	}
	add(1, 10_000, 1) // floods
	add(2, 500, 8)    // large jobs
	add(3, 2_000, 3)
	work := drain(t, s, jobs, 2_000)
	for client := 1; client <= 3; client++ {
		share := work[account(client)]
		require.InDelta(t, (work[account(1)]+work[account(2)]+work[account(3)])/3, share, scheduler.MaxCost, "client %d", client)
	}
}

func TestALateClientDoesNotWaitForAFlood(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	for n := range 1_000 {
		s.Enqueue(job(n, 1))
	}
	require.Len(t, s.Next(start, 1), 1)
	s.Release(jobID(0))
	s.Enqueue(job(5_000, 2))
	for turn := 0; ; turn++ {
		require.LessOrEqual(t, turn, scheduler.MaxCost)
		d := s.Next(start, 1)
		s.Release(d[0].Job)
		if d[0].Job == jobID(5_000) {
			return
		}
	}
}

func TestModelsTakeTurns(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	m := miner(1, 1)
	m.Models = append(m.Models, scheduler.Model{Name: other, Digest: digest(2)})
	s.SetMiner(m)
	for n := range 100 {
		s.Enqueue(job(n, 1))
	}
	j := job(500, 2)
	j.Model = other
	s.Enqueue(j)
	first, second := s.Next(start, 1), []scheduler.Decision(nil)
	s.Release(first[0].Job)
	second = s.Next(start, 1)
	require.Contains(t, []aitbc.JobID{first[0].Job, second[0].Job}, j.ID)
}

func TestAJobThatIsTriedAgainGoesBeforeItsClientsLaterOnes(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	again := job(1, 1)
	again.Excluded = []aitbc.AccountID{account(2)}
	s.Enqueue(job(2, 1))
	s.Enqueue(job(3, 1))
	s.Enqueue(again)
	require.Equal(t, again.ID, s.Next(start, 1)[0].Job)
}

// prioritised makes a job of a client and a priority wait.
func prioritised(s *scheduler.Scheduler, n, client int, p aitbc.Priority) {
	j := job(n, client)
	j.Priority = p
	s.Enqueue(j)
}

func TestAHigherPriorityGoesFirst(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	prioritised(s, 1, 1, aitbc.PriorityLow)
	prioritised(s, 2, 1, aitbc.PriorityNormal)
	prioritised(s, 3, 1, aitbc.PriorityHigh)
	prioritised(s, 4, 2, aitbc.PriorityHigh)
	prioritised(s, 5, 2, 7) // there is none: the nearest
	var order []aitbc.JobID
	for range 5 {
		d := s.Next(start, 1)
		require.Len(t, d, 1)
		s.Release(d[0].Job)
		order = append(order, d[0].Job)
	}
	require.Equal(t, []aitbc.JobID{jobID(3), jobID(4), jobID(5), jobID(2), jobID(1)}, order)
	require.Zero(t, s.Waiting())
}

func TestNoPriorityStarvesAnother(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	of := map[aitbc.JobID]aitbc.Priority{}
	for n := range 3_000 {
		p := aitbc.Priority(n%3 - 1)
		prioritised(s, n, n%2, p)
		of[jobID(n)] = p
	}
	got := map[aitbc.Priority]int{}
	for range 800 {
		d := s.Next(start, 1)
		s.Release(d[0].Job)
		got[of[d[0].Job]]++
	}
	require.InDelta(t, 50, got[aitbc.PriorityLow], 6, "one in sixteen")
	require.InDelta(t, 50, got[aitbc.PriorityNormal], 6)
	require.InDelta(t, 700, got[aitbc.PriorityHigh], 12)
}

// TestAPriorityThatCannotBePlacedBlocksNoOther: what is first in the order need not be able to run.
func TestAPriorityThatCannotBePlacedBlocksNoOther(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(miner(1, 1))
	high := job(1, 1)
	high.Priority, high.Digest = aitbc.PriorityHigh, digest(9)
	s.Enqueue(high)
	prioritised(s, 2, 2, aitbc.PriorityLow)
	require.Equal(t, jobID(2), s.Next(start, 1)[0].Job)
	require.Equal(t, 1, s.InLine(tiny, aitbc.PriorityHigh, account(1)))
}
