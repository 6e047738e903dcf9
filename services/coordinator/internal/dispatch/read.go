package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// read gives a job as it is: from memory while it is live, else from the store. Errors:
// JOB_NOT_FOUND.
func (d *Dispatcher) read(ctx context.Context, id aitbc.JobID) (job.Job, error) {
	d.mu.Lock()
	if e := d.live[id]; e != nil && e.job.ID == id {
		defer d.mu.Unlock()
		return e.job, nil
	}
	d.mu.Unlock()
	j, err := d.deps.Store.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return job.Job{}, job.ErrNotFound
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// Leases gives what a miner holds, by job id.
func (d *Dispatcher) Leases(ctx context.Context, id aitbc.AccountID) ([]Handover, error) {
	var held []Handover
	var missing []int
	d.mu.Lock()
	m := d.miners[id]
	if d.deps.Takes && (m == nil || m.session == 0) { // it may be at another replica
		d.mu.Unlock()
		return d.leasesElsewhere(ctx, id)
	}
	if m != nil {
		for _, e := range m.leases {
			h := Handover{Job: e.job}
			if e.payload != nil {
				h.Payload = *e.payload
			} else {
				missing = append(missing, len(held))
			}
			held = append(held, h)
		}
	}
	d.mu.Unlock()
	for _, i := range missing {
		var err error
		if held[i].Payload, err = d.deps.Store.Payload(ctx, held[i].Job.ID); err != nil {
			return nil, fmt.Errorf("read the payload of job %s: %w", held[i].Job.ID, err)
		}
	}
	slices.SortFunc(held, func(a, b Handover) int { return bytes.Compare(a.Job.ID[:], b.Job.ID[:]) })
	return held, nil
}

// leasesElsewhere gives what a miner that is not here holds, by job id.
func (d *Dispatcher) leasesElsewhere(ctx context.Context, id aitbc.AccountID) ([]Handover, error) {
	jobs, err := d.deps.Store.Held(ctx, store.HeldQuery{Miner: id})
	if err != nil {
		return nil, fmt.Errorf("read what miner %s holds: %w", id, err)
	}
	held := make([]Handover, len(jobs))
	for i, j := range jobs {
		if held[i].Payload, err = d.deps.Store.Payload(ctx, j.ID); err != nil {
			return nil, fmt.Errorf("read the payload of job %s: %w", j.ID, err)
		}
		held[i].Job = j
	}
	slices.SortFunc(held, func(a, b Handover) int { return bytes.Compare(a.Job.ID[:], b.Job.ID[:]) })
	return held, nil
}

// AwaitsEscrow gives what waits to be escrowed for a client's jobs.
func (d *Dispatcher) AwaitsEscrow(client aitbc.AccountID) aitbc.Amount {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting[client]
}

// Miners gives the miners with a session, and those whose session ended a moment ago, by id.
func (d *Dispatcher) Miners() []MinerView {
	d.mu.Lock()
	defer d.mu.Unlock()
	views := make([]MinerView, 0, len(d.miners))
	for _, m := range d.miners {
		if m.session != 0 { // else it is known only by a lease from before a restart
			views = append(views, d.view(m))
		}
	}
	slices.SortFunc(views, func(a, b MinerView) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return views
}

func (d *Dispatcher) view(m *miner) MinerView {
	status := "connected"
	switch {
	case m.link == nil:
		status = "unknown"
	case m.state.Draining:
		status = "draining"
	}
	return MinerView{
		ID: m.id, Status: status, Stake: m.stake, Standing: d.scheduler.Standing(m.id),
		State: m.state, ConnectedAt: m.since,
	}
}

// Models gives the models that the miners have, by name.
func (d *Dispatcher) Models() []ModelView {
	d.mu.Lock()
	defer d.mu.Unlock()
	byName := make(map[string]*ModelView)
	for _, m := range d.miners {
		for _, model := range m.state.Models {
			digest, err := aitbc.ParseHash(model.GetDigest())
			if err != nil {
				continue
			}
			v := byName[model.GetName()]
			if v == nil {
				v = &ModelView{Name: model.GetName(), FirstSeen: d.models[model.GetName()]}
				byName[v.Name] = v
			}
			v.Miners++
			if !slices.Contains(v.Digests, digest) {
				v.Digests = append(v.Digests, digest)
			}
		}
	}
	views := make([]ModelView, 0, len(byName))
	for _, v := range byName {
		slices.SortFunc(v.Digests, func(a, b aitbc.Hash) int { return bytes.Compare(a[:], b[:]) })
		views = append(views, *v)
	}
	slices.SortFunc(views, func(a, b ModelView) int { return strings.Compare(a.Name, b.Name) })
	return views
}

// Stats is how much there is of what, for metrics.
type Stats struct {
	// Live counts the jobs that are not done by their phase; Waiting those that wait for a miner.
	Live    map[job.Phase]int
	Waiting int
	// Miners counts those with a session.
	Miners int
}

// Stats counts; it looks at every job in memory.
func (d *Dispatcher) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Live: make(map[job.Phase]int), Waiting: d.scheduler.Waiting() + d.parked}
	if d.parked > 0 {
		s.Live[job.Queued] = d.parked
	}
	for id, e := range d.live {
		if e.job.ID == id {
			s.Live[e.job.Phase]++
		}
	}
	for _, m := range d.miners {
		if m.link != nil {
			s.Miners++
		}
	}
	return s
}
