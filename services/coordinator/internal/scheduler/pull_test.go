package scheduler_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// puller gives miner n, which has nothing and may pull the model tiny.
func puller(n, slots int, edits ...func(*scheduler.Miner)) scheduler.Miner {
	m := scheduler.Miner{ID: account(n), Slots: slots, Pullable: []string{tiny}}
	for _, edit := range edits {
		edit(&m)
	}
	return m
}

func anyReady(aitbc.AccountID) bool { return true }

func TestTheBestMinerThatCouldRunTheJobPullsItsModel(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		miners []scheduler.Miner
		job    func(*scheduler.Job)
		chosen int // 0: none
	}{
		"the higher stake":         {miners: []scheduler.Miner{puller(1, 1), puller(2, 1, func(m *scheduler.Miner) { m.Stake = 5 * aitbc.UnitsPerCoin })}, chosen: 2},
		"a full one will be free":  {miners: []scheduler.Miner{puller(1, 1, func(m *scheduler.Miner) { m.Busy = 1 })}, chosen: 1},
		"one of equals, always it": {miners: []scheduler.Miner{puller(3, 1), puller(2, 1)}, chosen: 2},
		"one without slots":        {miners: []scheduler.Miner{puller(1, 0)}},
		"too dear a one":           {miners: []scheduler.Miner{puller(1, 1, func(m *scheduler.Miner) { m.Floor = price + 1 })}},
		"one that is away":         {miners: []scheduler.Miner{puller(1, 1, func(m *scheduler.Miner) { m.Away = true })}},
		"one that failed it":       {miners: []scheduler.Miner{puller(1, 1)}, job: func(j *scheduler.Job) { j.Excluded = []aitbc.AccountID{account(1)} }},
		"any digest may come":      {miners: []scheduler.Miner{puller(1, 1)}, job: func(j *scheduler.Job) { j.Digest = digest(9) }, chosen: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, j := newScheduler(t, nil), job(1, 1)
			for _, m := range c.miners {
				s.SetMiner(m)
			}
			if c.job != nil {
				c.job(&j)
			}
			s.Enqueue(j)
			require.Equal(t, []string{tiny}, s.Lacking())
			require.Empty(t, s.Pullable(10), "a job waits for it here")
			id, ok := s.ChoosePuller(start, tiny, anyReady)
			require.Equal(t, c.chosen > 0, ok)
			if ok {
				require.Equal(t, account(c.chosen), id)
			}
		})
	}
}

func TestOnlyWhatNobodyHasIsLacking(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, nil)
	s.SetMiner(puller(1, 1))
	require.Equal(t, 1, s.Pullers(tiny))
	require.Equal(t, []string{tiny}, s.Pullable(10))
	require.Empty(t, s.Lacking(), "no job waits")
	s.Enqueue(job(1, 1))
	_, ok := s.ChoosePuller(start, tiny, func(aitbc.AccountID) bool { return false })
	require.False(t, ok, "nobody is ready")
	s.SetMiner(miner(2, 0))
	require.Empty(t, s.Lacking(), "one has it, though without a slot")
	require.Zero(t, s.Pullers(tiny))
	s.DropMiner(account(2))
	require.Equal(t, []string{tiny}, s.Lacking())
	s.DropMiner(account(1))
	require.Empty(t, s.Lacking())
	s.SetMiner(puller(1, 1))
	s.SetMiner(scheduler.Miner{ID: account(1), Slots: 1})
	require.Zero(t, s.Pullers(tiny), "its owner changed his mind")
	_, ok = s.ChoosePuller(start, tiny, anyReady)
	require.False(t, ok)
}
