package job

import (
	"cmp"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Step is one state that a job came to: when, which, and why.
type Step struct {
	// At is when.
	At time.Time
	// Phase and Outcome are what it came to, Attempt and Miner the attempt it was in; zero before
	// the first.
	Phase   Phase
	Outcome Status
	Attempt uint32
	Miner   aitbc.AccountID
	// Failure is the cause, where something went wrong or was asked to end; else zero.
	Failure Failure
}

// Most of a job's history is in the job itself: an ordinary one passes each phase once, and each has
// its time. So only what a step overwrites, or no field tells, is kept apart (Remember), and the
// ordinary job pays nothing for its history.

// Remember gives the steps that must be kept with the step from before to after at now, because
// after's own fields do not tell them. Kept once each, oldest first.
func Remember(now time.Time, before, after Job) []Step {
	is := Step{At: now, Phase: after.Phase, Outcome: after.Outcome, Attempt: after.Attempt, Miner: after.Miner, Failure: after.Failure}
	switch { // the job's own time, where it has one: now may be a moment later
	case after.Phase == Queued:
		is.At = after.QueuedAt
	case after.Phase == Running && before.StartedAt.IsZero():
		is.At = after.StartedAt
	}
	switch {
	case before.HasLease() && after.Phase == Queued: // the attempt's times are about to be forgotten
		steps := before.ownAttempt()
		if before.Attempts() == 1 {
			steps = append([]Step{{At: before.QueuedAt, Phase: Queued}}, steps...)
		}
		return append(steps, is)
	case after.HasLease() && after.Phase != before.Phase && (after.Phase == Unknown || before.Phase == Unknown || after.Outcome != ""),
		after.Phase == Settling && before.Phase != Settling && after.Completion == nil:
		return []Step{is}
	case before.Phase == after.Phase && before.Outcome != after.Outcome: // told to stop
		return []Step{is}
	}
	return nil
}

// ownAttempt gives the steps to the last attempt that the job's fields tell.
func (j Job) ownAttempt() []Step {
	steps := []Step{{At: j.LeasedAt, Phase: Leased, Attempt: j.Attempt, Miner: j.Miner}}
	if !j.StartedAt.IsZero() {
		steps = append(steps, Step{At: j.StartedAt, Phase: Running, Attempt: j.Attempt, Miner: j.Miner})
	}
	return steps
}

// History gives all steps of a job, oldest first: those that its fields tell, and those that were
// kept (Remember), oldest first.
func (j Job) History(kept []Step) []Step {
	steps := []Step{{At: j.SubmittedAt, Phase: Escrowing}}
	steps = append(steps, kept...)
	for _, s := range j.told() {
		if !slices.ContainsFunc(kept, s.same) {
			steps = append(steps, s)
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.Phase.rank(), b.Phase.rank()))
	})
	return steps
}

// rank orders the phases as a job passes them.
func (p Phase) rank() int {
	return slices.Index([]Phase{Escrowing, Queued, Leased, Running, Unknown, Settling, Done}, p)
}

// same reports whether both are the same coming to the same phase. A wait has one beginning, whether
// it is told with the attempt before it or not.
func (s Step) same(other Step) bool {
	return s.Phase == other.Phase && s.At.Equal(other.At) && (s.Phase == Queued || s.Attempt == other.Attempt)
}

// told gives the steps behind the submit that the job's fields tell.
func (j Job) told() []Step {
	var steps []Step
	if !j.QueuedAt.IsZero() {
		steps = append(steps, Step{At: j.QueuedAt, Phase: Queued})
	}
	if j.Attempt > 0 {
		steps = append(steps, j.ownAttempt()...)
	}
	if c := j.Completion; c != nil {
		settling := Step{At: c.At, Phase: Settling, Outcome: StatusCompleted, Attempt: j.Attempt, Miner: j.Miner}
		if j.Outcome == StatusCancelled {
			settling.Outcome = StatusCancelled
		}
		steps = append(steps, settling)
	}
	if j.Phase == Done {
		steps = append(steps, Step{
			At: j.CompletedAt, Phase: Done, Outcome: j.Outcome, Attempt: j.Attempt, Miner: j.Miner, Failure: j.Failure,
		})
	}
	return steps
}
