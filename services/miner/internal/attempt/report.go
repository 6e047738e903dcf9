package attempt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/device"
)

// Report is everything there is to tell.
type Report struct {
	// State is the miner's whole state.
	State *coordinatorv1.MinerState
	// Starts are the beginnings of the leases that run or wait.
	Starts []*coordinatorv1.AttemptStart
	// Results are the waiting results, oldest first; [Runner.Result] reads one.
	Results []Waiting
	// Failures are those not told yet; [Runner.FailureTold] ticks one off.
	Failures []*coordinatorv1.AttemptFailure
}

// Waiting is a result that waits for its acceptance.
type Waiting struct {
	// LeaseID is the lease.
	LeaseID string
	// Sending counts how often it was asked for again.
	Sending uint64
}

// Watch gives a channel that closes at the next change. Take it before Report, so that no change
// between the two is missed.
func (r *Runner) Watch() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Report gives what there is to tell all operators together.
func (r *Runner) Report() Report {
	return r.report(func(party) bool { return true })
}

// ReportTo gives what there is to tell this operator: what other operators' leases are, and what
// became of them, it does not hear. Their leases take slots away.
func (r *Runner) ReportTo(op Operator) Report {
	to := op.party()
	return r.report(func(owner party) bool { return owner == to })
}

func (r *Runner) report(concerns func(party) bool) Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := Report{
		State: &coordinatorv1.MinerState{
			Slots:            int32(r.slots()),
			Draining:         r.draining,
			Engine:           r.seen.engine,
			PriceFloorUaitbc: int64(r.config.PriceFloor),
		},
		Failures: r.ended.toTell(concerns),
	}
	for _, id := range slices.Sorted(maps.Keys(r.running)) {
		if concerns(r.ownerOf(id)) {
			report.State.RunningLeaseIds = append(report.State.RunningLeaseIds, id)
		} else {
			report.State.Slots = max(report.State.Slots-1, 0) // there may be fewer than before
		}
	}
	for _, m := range r.seen.models {
		report.State.Models = append(report.State.Models,
			&coordinatorv1.MinerModel{Name: m.Name, Digest: m.Digest, Warm: m.Warm, SizeBytes: m.SizeBytes, Slots: int32(r.slotsOf(m.Name))})
	}
	for _, d := range r.seen.devices {
		report.State.Devices = append(report.State.Devices,
			&coordinatorv1.MinerDevice{Name: d.Name, Kind: d.Kind, MemoryBytes: d.MemoryBytes})
	}
	report.State.PullableModels, report.State.Pulls = r.pulls()
	for id, at := range r.starts {
		if concerns(r.ownerOf(id)) {
			report.Starts = append(report.Starts, &coordinatorv1.AttemptStart{LeaseId: id, StartedAt: timestamppb.New(at)})
		}
	}
	slices.SortFunc(report.Starts, func(a, b *coordinatorv1.AttemptStart) int {
		return a.GetStartedAt().AsTime().Compare(b.GetStartedAt().AsTime())
	})
	for _, id := range r.deps.Spool.Waiting() {
		if r.running[id] != nil || !concerns(r.ownerOf(id)) {
			continue // one that runs is on disk, but a revocation may still come before its end
		}
		report.State.FinishedLeaseIds = append(report.State.FinishedLeaseIds, id)
		report.Results = append(report.Results, Waiting{LeaseID: id, Sending: r.sendings[id]})
	}
	return report
}

// Result reads a waiting result. Errors: [spool.ErrNotFound] when it has just left.
func (r *Runner) Result(id string) (*coordinatorv1.AttemptResult, error) {
	record, err := r.deps.Spool.Get(id)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	return r.plantedTwin(record), nil
}

// FailureTold ticks off a failure that was sent to the operator.
func (r *Runner) FailureTold(op Operator, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended.told(offered{op.party(), id})
	r.change()
}

// Running is a lease that runs now.
type Running struct {
	// JobID, LeaseID and Model say what runs.
	JobID, LeaseID, Model string
	// Started is since when.
	Started time.Time
}

// Status is what the owner wants to see beyond the state.
type Status struct {
	// Running are the leases that run now, oldest first.
	Running []Running
	// Completed and Failed count the attempts of this process.
	Completed, Failed int32
	// Withheld are the models that are not offered for the memory that they need.
	Withheld []Withheld
	// EngineError says why there is no engine; empty: there is one.
	EngineError string
	// Readings are what the GPUs measured of themselves when last looked at, in the state's order.
	Readings []device.Reading
}

// Status gives what runs and what ran.
func (r *Runner) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	status := Status{Completed: r.completed, Failed: r.failed, EngineError: r.seen.err, Withheld: r.seen.withheld, Readings: r.readings}
	for id, x := range r.running {
		status.Running = append(status.Running, Running{
			JobID: x.job.lease.JobID.String(), LeaseID: id, Model: x.job.lease.Model, Started: x.started,
		})
	}
	slices.SortFunc(status.Running, func(a, b Running) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.LeaseID, b.LeaseID))
	})
	return status
}
