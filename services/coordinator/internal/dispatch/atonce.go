package dispatch

import (
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

// When nobody waits for a model and a miner has a free slot, a job is leased in the commit that would
// have queued it: so the job that is alone waits for one commit less.

// atOnce reserves a slot for a job that is about to be queued, and gives the step that leases it; nil:
// it has to wait. Whoever calls it calls putBack or leave once the commit has returned.
func (d *Dispatcher) atOnce(now time.Time, queued job.Job) (*scheduler.Decision, func(job.Job) job.Job) {
	d.mu.Lock()
	e := d.live[queued.ID]
	if e == nil || e.blank || queued.Phase != job.Queued || d.deep[queued.Model] > 0 {
		d.mu.Unlock()
		return nil, nil
	}
	wanted := entry{job: queued, cost: e.cost}
	decision, ok := d.scheduler.HandOver(now, wanted.schedulable())
	d.mu.Unlock()
	if !ok {
		return nil, nil
	}
	d.decide(now, queued, decision)
	lease := d.leaseStep(now, queued, decision.Miner, decision.Digest)
	return &decision, func(j job.Job) job.Job {
		leased, _, err := lease(j)
		if err != nil { // it is another job than was thought, and waits
			return j
		}
		return leased
	}
}
