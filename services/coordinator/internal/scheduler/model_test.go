package scheduler_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// world is the plain model that the scheduler is held to: sets of jobs and miners, and rules.
type world struct {
	waiting map[aitbc.JobID]scheduler.Job
	held    map[aitbc.JobID]aitbc.AccountID
	jobs    map[aitbc.JobID]scheduler.Job
	miners  map[aitbc.AccountID]scheduler.Miner
}

// free gives how many more jobs of a model a miner may get.
func (w *world) free(m scheduler.Miner, model string) int {
	if m.Away || m.Draining || m.Understaked {
		return 0
	}
	free, own := m.Slots-m.Busy, m.Slots
	for _, o := range m.Models {
		if o.Name == model && o.Slots > 0 {
			own = o.Slots
		}
	}
	for id, by := range w.held {
		if by == m.ID {
			free--
			if w.jobs[id].Model == model {
				own--
			}
		}
	}
	return min(free, own)
}

func (w *world) able(j scheduler.Job, m scheduler.Miner) bool {
	return m.Floor <= j.Price && !slices.Contains(j.Excluded, m.ID) &&
		slices.ContainsFunc(m.Models, func(o scheduler.Model) bool {
			return o.Name == j.Model && (j.Digest.IsZero() || j.Digest == o.Digest)
		})
}

func (w *world) check(t *rapid.T, decisions []scheduler.Decision) {
	for _, d := range decisions {
		j, ok := w.waiting[d.Job]
		require.True(t, ok, "it waited")
		m := w.miners[d.Miner]
		require.True(t, w.able(j, m), "the miner is able")
		require.Positive(t, w.free(m, j.Model), "the miner had a free slot")
		require.True(t, slices.ContainsFunc(m.Models, func(o scheduler.Model) bool { return o.Name == j.Model && o.Digest == d.Digest }))
		delete(w.waiting, d.Job)
		w.held[d.Job] = d.Miner
	}
}

// idle reports whether some waiting job could be run by a miner with a free slot.
func (w *world) idle() bool {
	for _, j := range w.waiting {
		for _, m := range w.miners {
			if w.able(j, m) && w.free(m, j.Model) > 0 {
				return true
			}
		}
	}
	return false
}

func drawMiner(t *rapid.T, n int) scheduler.Miner {
	m := scheduler.Miner{
		ID:          account(n),
		Slots:       rapid.IntRange(0, 3).Draw(t, "slots"),
		Busy:        rapid.IntRange(0, 1).Draw(t, "busy"),
		Floor:       aitbc.Amount(rapid.IntRange(0, 3).Draw(t, "floor")),
		Draining:    rapid.IntRange(0, 5).Draw(t, "draining") == 0,
		Understaked: rapid.IntRange(0, 5).Draw(t, "understaked") == 0,
		Away:        rapid.IntRange(0, 5).Draw(t, "away") == 0,
	}
	for _, name := range []string{tiny, other} {
		if rapid.Bool().Draw(t, "has") {
			m.Models = append(m.Models, scheduler.Model{Name: name, Digest: digest(byte(rapid.IntRange(1, 2).Draw(t, "digest"))), Warm: rapid.Bool().Draw(t, "warm"), Slots: rapid.IntRange(0, 2).Draw(t, "own slots")})
		}
	}
	return m
}

func drawJob(t *rapid.T, n int) scheduler.Job {
	j := scheduler.Job{
		ID:       jobID(n),
		Client:   account(rapid.IntRange(1, 3).Draw(t, "client")),
		Model:    rapid.SampledFrom([]string{tiny, other}).Draw(t, "model"),
		Digest:   digest(byte(rapid.IntRange(0, 2).Draw(t, "pinned"))),
		Price:    aitbc.Amount(rapid.IntRange(0, 3).Draw(t, "price")),
		Cost:     rapid.IntRange(0, 12).Draw(t, "cost"),
		Priority: aitbc.Priority(rapid.IntRange(-1, 1).Draw(t, "priority")),
	}
	for range rapid.IntRange(0, 2).Draw(t, "exclusions") {
		j.Excluded = append(j.Excluded, account(rapid.IntRange(1, 6).Draw(t, "excluded")))
	}
	return j
}

// remembered is a decision, with what every miner was to its job just before.
type remembered struct {
	job      scheduler.Job
	decision scheduler.Decision
	findings []scheduler.Finding
}

// check holds what the scheduler says later of the decision to what was so then.
func (r remembered) check(t *rapid.T, s *scheduler.Scheduler) {
	told, there := s.ExplainChoice(r.job, r.decision.Miner, r.decision.Choice, 100)
	require.True(t, there)
	others := slices.DeleteFunc(slices.Clone(r.findings), func(f scheduler.Finding) bool { return f.Miner == r.decision.Miner })
	require.Len(t, told.Miners, len(others))
	require.Len(t, told.Miners, told.Known)
	able := 1
	for i, f := range told.Miners {
		require.Equal(t, others[i].Miner, f.Miner)
		if len(others[i].Obstacles) > 0 {
			require.Equal(t, others[i].Obstacles, f.Obstacles)
			continue
		}
		able++
		require.Len(t, f.Obstacles, 1)
		compared := slices.ContainsFunc(r.decision.Choice.Compared, func(c scheduler.Scored) bool { return c.Miner == f.Miner })
		want := []scheduler.Obstacle{scheduler.NotDrawn}
		if compared {
			want = []scheduler.Obstacle{scheduler.Outscored, scheduler.NewcomersTurn}
			require.InDelta(t, others[i].Score, f.Score, 0)
		}
		require.Contains(t, want, f.Obstacles[0])
	}
	require.Equal(t, r.decision.Choice.Eligible, able)
}

func TestTheSchedulerFollowsItsRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newScheduler(t, func(c *scheduler.Config) { c.Sample, c.NewcomerShare = 1, 0.5 })
		w := &world{map[aitbc.JobID]scheduler.Job{}, map[aitbc.JobID]aitbc.AccountID{}, map[aitbc.JobID]scheduler.Job{}, map[aitbc.AccountID]scheduler.Miner{}}
		var past []remembered
		some := func(label string) aitbc.JobID { return jobID(rapid.IntRange(0, max(len(w.jobs), 1)).Draw(rt, label)) }
		rt.Repeat(map[string]func(*rapid.T){
			"enqueue": func(rt *rapid.T) {
				j := drawJob(rt, len(w.jobs))
				w.jobs[j.ID], w.waiting[j.ID] = j, j
				s.Enqueue(j)
			},
			"enqueue again": func(rt *rapid.T) {
				id := some("again")
				j, known := w.jobs[id]
				if _, held := w.held[id]; known && !held {
					s.Enqueue(j)
					w.waiting[id] = j
				}
			},
			"dequeue": func(*rapid.T) { id := some("dequeue"); s.Dequeue(id); delete(w.waiting, id) },
			"release": func(*rapid.T) { id := some("release"); s.Release(id); delete(w.held, id) },
			"set miner": func(rt *rapid.T) {
				m := drawMiner(rt, rapid.IntRange(1, 6).Draw(rt, "miner"))
				s.SetMiner(m)
				w.miners[m.ID] = m
			},
			"drop miner": func(rt *rapid.T) {
				id := account(rapid.IntRange(1, 6).Draw(rt, "dropped"))
				s.DropMiner(id)
				delete(w.miners, id)
			},
			"claim": func(rt *rapid.T) {
				id, by := some("claimed"), account(rapid.IntRange(1, 6).Draw(rt, "claimer"))
				j, waits := w.waiting[id]
				m, known := w.miners[by]
				d, obstacles, ok := s.Claim(start, id, by)
				require.Equal(rt, waits && known && w.able(j, m) && w.free(m, j.Model) > 0, ok)
				require.Equal(rt, waits && !ok, len(obstacles) > 0)
				if ok {
					w.check(rt, []scheduler.Decision{d})
				}
			},
			"next": func(rt *rapid.T) {
				maximum := rapid.IntRange(1, 5).Draw(rt, "maximum")
				decisions := s.Next(start, maximum)
				require.LessOrEqual(rt, len(decisions), maximum)
				w.check(rt, decisions)
				require.True(rt, len(decisions) == maximum || !w.idle(), "a job waits although it could run")
			},
			"next one, to be explained": func(rt *rapid.T) {
				then := map[aitbc.JobID]remembered{}
				for id, j := range w.waiting {
					then[id] = remembered{job: j, findings: s.Explain(start, j)}
				}
				for _, d := range s.Next(start, 1) {
					r := then[d.Job]
					r.decision = d
					past = append(past, r)
					w.check(rt, []scheduler.Decision{d})
				}
			},
			"explain": func(rt *rapid.T) {
				for _, r := range past {
					r.check(rt, s)
				}
			},
			"": func(rt *rapid.T) { require.Equal(rt, len(w.waiting), s.Waiting()) },
		})
	})
}

func BenchmarkADecision(b *testing.B) {
	s := scheduler.New(scheduler.DefaultConfig(), newRandom())
	for n := range 1_000 {
		s.SetMiner(miner(n, 4))
	}
	for n := range 10_000 {
		s.Enqueue(job(n, n%500))
	}
	for n := 10_000; b.Loop(); n++ {
		d := s.Next(start, 1)
		s.Release(d[0].Job)
		s.Enqueue(job(n, n%500))
	}
}
