package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

const (
	// rememberedDecisions is of how many jobs the choices of their miners are remembered. A choice is
	// no more than a sample of miners, so all of them are a few MB.
	rememberedDecisions = 4096
	// explainedKinds is of how many kinds of waiting jobs a miner is told, explainedPassed of how many
	// decisions that did not go to it.
	explainedKinds  = 100
	explainedPassed = 20
	// explainedMiners is how many of the miners that did not get a job are told one by one.
	explainedMiners = 100
)

// Decided is the choice of an attempt's miner.
type Decided struct {
	// Attempt is the attempt it began; At is when it was made.
	Attempt uint32
	At      time.Time
	// Miner was chosen; Choice is how.
	Miner  aitbc.AccountID
	Choice scheduler.Choice
	// Others are the miners that were not chosen, and why; nil: that is forgotten.
	Others *scheduler.Others
	// wanted is the job as it was when the miner was chosen.
	wanted scheduler.Job
}

// Explanation is why a job is where it is.
type Explanation struct {
	// Job is the job as it is.
	Job job.Job
	// Steps are all states it came to, oldest first.
	Steps []job.Step
	// Decisions are the choices of its miners that are remembered here, oldest first.
	Decisions []Decided
	// Place is where it stands while it waits; nil: it does not wait.
	Place *scheduler.Place
	// Findings are what each known miner is to it while it waits.
	Findings []scheduler.Finding
	// Pull is what is done about its model while it waits and no miner has that; nil: nothing can be.
	Pull *Pull
}

// Explain tells all about a job. Errors: JOB_NOT_FOUND.
func (d *Dispatcher) Explain(ctx context.Context, id aitbc.JobID) (Explanation, error) {
	x := Explanation{}
	kept, err := d.deps.Store.Steps(ctx, id) // before the job, so that none is missing that the job has behind it
	if err != nil {
		return x, fmt.Errorf("explain job %s: %w", id, err)
	}
	if x.Job, err = d.read(ctx, id); err != nil {
		return x, err
	}
	x.Steps = x.Job.History(kept)
	decided, _ := d.decided.Get(id)
	now := clock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, made := range decided {
		if others, remembered := d.scheduler.ExplainChoice(made.wanted, made.Miner, made.Choice, explainedMiners); remembered {
			made.Others = &others
		}
		x.Decisions = append(x.Decisions, made)
	}
	if x.Job.Phase != job.Queued {
		return x, nil
	}
	if place, waits := d.place(now, &x.Job); waits {
		x.Place, x.Findings = &place, d.scheduler.Explain(now, (&entry{job: x.Job}).schedulable())
		x.Pull = d.pullOf(x.Job.Model)
	}
	return x, nil
}

// Place gives where a job stands; false: it does not wait for a miner here.
func (d *Dispatcher) Place(j *job.Job) (scheduler.Place, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.place(clock(), j)
}

// decide remembers how the miner of a job's next attempt was chosen.
func (d *Dispatcher) decide(now time.Time, j job.Job, decision scheduler.Decision) {
	before, _ := d.decided.Get(j.ID)
	slices.SortFunc(decision.Choice.Compared, func(a, b scheduler.Scored) int { return cmp.Compare(b.Score, a.Score) })
	made := Decided{
		Attempt: j.Attempt + 1, At: now, Miner: decision.Miner, Choice: decision.Choice, wanted: (&entry{job: j}).schedulable(),
	}
	// One that came to nothing is replaced. The slice is copied: readers may have it.
	kept := slices.DeleteFunc(slices.Clone(before), func(b Decided) bool { return b.Attempt == made.Attempt })
	d.decided.Add(j.ID, append(kept, made))
}

// MinerExplanation is why a miner gets the jobs it gets.
type MinerExplanation struct {
	// Miner is the miner as it is.
	Miner MinerView
	// Obstacles keep it from any job.
	Obstacles []scheduler.Obstacle
	// Waiting are the kinds of jobs that wait, with what keeps it from each.
	Waiting []scheduler.Kind
	// Passed are the latest decisions that did not go to it, the last one first.
	Passed []scheduler.Passed
}

// ExplainMiner tells all about a miner. Errors: MINER_NOT_FOUND.
func (d *Dispatcher) ExplainMiner(id aitbc.AccountID) (MinerExplanation, error) {
	now := clock()
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.miners[id]
	if m == nil || m.session == 0 {
		return MinerExplanation{}, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND,
			"no miner %s has a session here: look at its own log, and at GET /v1/miners", id)
	}
	x := MinerExplanation{Miner: d.view(m)}
	x.Obstacles, x.Waiting = d.scheduler.ExplainMiner(now, id, explainedKinds)
	x.Passed = d.scheduler.PassedBy(id, explainedPassed)
	return x, nil
}
