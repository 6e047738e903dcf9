package scheduler_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

func TestAModelGetsNoMoreThanItsOwnSlotsAndNoMoreThanTheMiners(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	m := miner(1, 3)
	m.Models[0].Slots = 2
	m.Models = append(m.Models, scheduler.Model{Name: other, Digest: digest(1)})
	s.SetMiner(m)
	for n := 1; n <= 4; n++ {
		s.Enqueue(job(n, n))
	}
	first := s.Next(start, 10)
	require.Len(t, first, 2)
	require.InDelta(t, 0.1, first[0].Choice.Compared[0].Score-first[1].Choice.Compared[0].Score, 1e-9, "its free share is of its own slots")
	findings := s.Explain(start, job(9, 9))
	require.Equal(t, []scheduler.Obstacle{scheduler.ModelFull}, findings[0].Obstacles)
	require.True(t, findings[0].Passing())
	require.True(t, s.Hopeful(job(9, 9)))
	_, obstacles, ok := s.Claim(start, jobID(3), account(1))
	require.False(t, ok)
	require.Equal(t, []scheduler.Obstacle{scheduler.ModelFull}, obstacles)
	require.Equal(t, map[string]int{other: 1}, s.Spare())

	another := job(5, 5)
	another.Model = other
	s.Enqueue(another)
	require.Equal(t, []aitbc.JobID{jobID(5)}, jobsOf(s.Next(start, 10)), "the third slot is any model's")
	require.Equal(t, []scheduler.Obstacle{scheduler.Full}, s.Explain(start, job(9, 9))[0].Obstacles)

	s.Release(jobID(1))
	require.Equal(t, []aitbc.JobID{jobID(3)}, jobsOf(s.Next(start, 10)))
	m.Models = slices.Clone(m.Models) // the others are the scheduler's
	m.Models[0].Slots = 0
	s.Release(jobID(5))
	require.Empty(t, s.Next(start, 10))
	s.SetMiner(m)
	require.Equal(t, []aitbc.JobID{jobID(4)}, jobsOf(s.Next(start, 10)), "without a figure of its own it is as many as the miner's")
}

func TestAPastDecisionTellsWhoseModelWasFull(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	small := miner(1, 3)
	small.Models[0].Slots = 1
	s.SetMiner(small)
	s.Enqueue(job(1, 1))
	require.Len(t, s.Next(start, 10), 1)
	s.SetMiner(miner(2, 1))
	s.Enqueue(job(2, 2))
	second := s.Next(start, 10)[0]
	s.Release(jobID(1)) // what was then is told all the same
	others, ok := s.ExplainChoice(job(2, 2), second.Miner, second.Choice, 10)
	require.True(t, ok)
	require.Equal(t, map[scheduler.Obstacle]int{scheduler.ModelFull: 1}, others.Counts)
	require.Equal(t, scheduler.ModelFull, s.PassedBy(account(1), 10)[0].Obstacles[0])
}

func TestALeaseFromBeforeARestartTakesItsModelsSlot(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.Hold(jobID(1), account(1), tiny)
	m := miner(1, 2)
	m.Models[0].Slots = 1
	s.SetMiner(m)
	s.Enqueue(job(2, 2))
	require.Empty(t, s.Next(start, 10))
	s.Release(jobID(1))
	require.Len(t, s.Next(start, 10), 1)
}
