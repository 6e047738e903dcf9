package dispatch

import (
	"fmt"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// A model that jobs wait for, that no miner has and that some may pull is pulled by one of them at a time.
//
//	lacking --asked--> pulling --the miner's state lists the model--> there
//	   ^                  |
//	   +------------------+ it failed, or did not get on: that miner rests, another is asked
//
// All of it is in memory and follows from what waits and what the miners say: a coordinator that begins anew
// takes over the pulls that a miner says are under way. A pull is not given up because nobody waits any more:
// what was fetched would be lost, and the next job finds it.

const (
	// pullSilence is how long a pull may not get on, pullLimit how long it may take, before it has failed. In
	// the former a large model's bytes are checked.
	pullSilence = 2 * time.Minute
	pullLimit   = time.Hour
	// pullRest is how long a miner is not asked for a model that it failed to pull; it doubles with each
	// failure, to pullRestMax.
	pullRest    = time.Minute
	pullRestMax = time.Hour
	// pullableDrawn is how many models that only miners here may pull are looked for at other replicas at once.
	pullableDrawn = 8
)

// pulling is a model that a miner was asked to pull.
type pulling struct {
	model string
	miner *miner
	since time.Time
	// moved is when it last got on, to done of total bytes; listed: the miner has said so.
	moved       time.Time
	done, total int64
	listed      bool
}

// late is when it has failed if nothing is heard of it.
func (p *pulling) late() time.Time { return first(p.moved.Add(pullSilence), p.since.Add(pullLimit)) }

// pullFault is a miner's last failure to pull a model.
type pullFault struct {
	at, again time.Time
	rest      time.Duration // how long it rests after the next
	why       string
}

// Pull is what is done about a model that no miner has.
type Pull struct {
	// Pullers is how many miners here may pull it; Elsewhere: miners of other replicas may, too.
	Pullers   int
	Elsewhere bool
	// Miner pulls it since AskedAt, and has DoneBytes of TotalBytes; zero: none does now.
	Miner                 aitbc.AccountID
	AskedAt               time.Time
	DoneBytes, TotalBytes int64
	// Failures are the last ones of each miner, the newest first.
	Failures []PullFailure
}

// PullFailure is a pull that came to nothing.
type PullFailure struct {
	// Miner failed, At a time; Why is for people.
	Miner aitbc.AccountID
	At    time.Time
	Why   string
	// Again is when it may be asked again.
	Again time.Time
}

// pullableOf gives the models that a miner may pull by its full names, each once, without those that it has.
func pullableOf(s MinerState) []string {
	var names []string
	for _, name := range s.Pullable {
		name = FullName(name)
		has := slices.ContainsFunc(s.Models, func(m *coordinatorv1.MinerModel) bool { return m.GetName() == name })
		if !has && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// mayPull reports whether no miner has a model, and some may pull it.
func (d *Dispatcher) mayPull(model string) bool {
	if d.config.MaxPulls == 0 || d.scheduler.Has(model, aitbc.Hash{}) || len(d.others.Models[model]) > 0 {
		return false
	}
	return d.scheduler.Pullers(model) > 0 || len(d.others.Pullable[model]) > 0
}

// planPulls gives up the pulls that do not get on, asks for those that are wanted, and says when to call it
// again although nothing happens; zero: never.
func (d *Dispatcher) planPulls(now time.Time) (next time.Time) {
	for _, p := range d.pulls {
		if late := p.late(); now.Before(late) {
			next = first(next, late)
		} else {
			d.failPull(now, p, fmt.Sprintf("it had %d of %d bytes after %s and did not get on", p.done, p.total, now.Sub(p.since).Round(time.Second)))
		}
	}
	for _, model := range d.scheduler.Lacking() {
		if d.pulls[model] != nil || len(d.others.Models[model]) > 0 || len(d.pulls) >= d.config.MaxPulls {
			continue
		}
		id, ok := d.scheduler.ChoosePuller(now, model, func(id aitbc.AccountID) bool {
			m := d.miners[id]
			if !m.here() || m.asked != "" {
				return false
			}
			again := m.faults[model].again
			if now.Before(again) {
				next = first(next, again)
				return false
			}
			return true
		})
		if ok {
			next = first(next, d.askPull(now, d.miners[id], model).late())
		}
	}
	return next
}

// askPull asks a miner to pull a model.
func (d *Dispatcher) askPull(now time.Time, m *miner, model string) *pulling {
	p := &pulling{model: model, miner: m, since: now, moved: now}
	d.pulls[model], m.asked = p, model
	d.tellPulls(m)
	d.deps.Log.Info("miner asked to pull a model", p.about()...)
	return p
}

// tellPulls says to a miner which models it is to pull.
func (d *Dispatcher) tellPulls(m *miner) {
	switch {
	case !m.here():
	case m.asked == "":
		m.link.Pull(nil)
	default:
		m.link.Pull([]string{m.asked})
	}
}

// endPull notes that a miner does not pull a model any more.
func (d *Dispatcher) endPull(p *pulling) {
	delete(d.pulls, p.model)
	p.miner.asked = ""
	d.tellPulls(p.miner)
}

// failPull ends a pull that has failed: its miner rests from it.
func (d *Dispatcher) failPull(now time.Time, p *pulling, why string) {
	d.endPull(p)
	rest := max(p.miner.faults[p.model].rest, pullRest)
	if p.miner.faults == nil {
		p.miner.faults = make(map[string]pullFault)
	}
	p.miner.faults[p.model] = pullFault{at: now, again: now.Add(rest), rest: min(2*rest, pullRestMax), why: why}
	d.deps.Log.Warn("a model's pull failed", p.about(obs.KeyError, why, "retry_in", rest)...)
}

// dropPull ends the pull of a miner that has left, which is no failure.
func (d *Dispatcher) dropPull(m *miner) {
	if p := d.pulls[m.asked]; p != nil && p.miner == m {
		d.endPull(p)
	}
}

// hearPulls takes in what a miner says of its pulls. At the first state of a session it is told what it is
// to pull, if there is anything to say.
func (d *Dispatcher) hearPulls(now time.Time, m *miner, first bool) {
	if first {
		d.adoptPull(now, m)
		if len(m.state.Pullable)+len(m.state.Pulls) > 0 {
			d.tellPulls(m)
		}
	}
	p := d.pulls[m.asked]
	if p == nil || p.miner != m {
		return
	}
	said := pullIn(m.state, p.model)
	switch {
	case slices.ContainsFunc(m.state.Models, func(o *coordinatorv1.MinerModel) bool { return o.GetName() == p.model }):
		d.endPull(p)
		delete(m.faults, p.model)
		d.deps.Log.Info("a model is pulled", p.about("took", now.Sub(p.since))...)
	case said.GetError() != "":
		d.failPull(now, p, said.GetError())
	case m.state.Draining:
		d.failPull(now, p, "the miner is draining")
	case said != nil:
		p.listed = true
		if said.GetCompletedBytes() > p.done {
			p.moved = now
		}
		p.done, p.total = said.GetCompletedBytes(), said.GetTotalBytes()
	case p.listed && !slices.Contains(m.state.Pullable, p.model):
		d.failPull(now, p, "the miner has it and does not offer it: its owner's `aitbcd miner status` says why")
	}
}

// adoptPull takes over a pull that another coordinator, or this one before a restart, has asked for.
func (d *Dispatcher) adoptPull(now time.Time, m *miner) {
	for _, said := range m.state.Pulls {
		model := FullName(said.GetModel())
		wanted := m.asked == "" && said.GetError() == "" && d.pulls[model] == nil && len(d.pulls) < d.config.MaxPulls
		if wanted && d.mayPull(model) {
			d.pulls[model] = &pulling{model: model, miner: m, since: now, moved: now, listed: true}
			m.asked = model
			return
		}
	}
}

// pullIn gives what a state says of a model's pull; nil: nothing.
func pullIn(s MinerState, model string) *coordinatorv1.ModelPull {
	i := slices.IndexFunc(s.Pulls, func(p *coordinatorv1.ModelPull) bool { return FullName(p.GetModel()) == model })
	if i < 0 {
		return nil
	}
	return s.Pulls[i]
}

// pullableHere gives some models that nobody has, that miners here may pull and that nothing waits for
// here, each with those of the shards whose replicas cannot have it pulled.
func (d *Dispatcher) pullableHere(shards []int32) map[string][]int32 {
	found := make(map[string][]int32)
	for _, model := range d.scheduler.Pullable(pullableDrawn) {
		if !d.mayPull(model) || d.pulls[model] != nil {
			continue
		}
		for _, shard := range shards {
			if !slices.Contains(d.others.Pullable[model], shard) {
				found[model] = append(found[model], shard)
			}
		}
	}
	return found
}

// pullOf gives what is done about a model; nil: some miner has it, or none may pull it.
func (d *Dispatcher) pullOf(model string) *Pull {
	if !d.mayPull(model) {
		return nil
	}
	x := &Pull{Pullers: d.scheduler.Pullers(model), Elsewhere: len(d.others.Pullable[model]) > 0}
	if p := d.pulls[model]; p != nil {
		x.Miner, x.AskedAt, x.DoneBytes, x.TotalBytes = p.miner.id, p.since, p.done, p.total
	}
	for _, m := range d.miners {
		if f, failed := m.faults[model]; failed {
			x.Failures = append(x.Failures, PullFailure{Miner: m.id, At: f.at, Why: f.why, Again: f.again})
		}
	}
	slices.SortFunc(x.Failures, func(a, b PullFailure) int { return b.At.Compare(a.At) })
	return x
}

// pullTrouble says, for the failure of a job that nobody took, what kept its model from being pulled; empty:
// that was not why.
func (d *Dispatcher) pullTrouble(j job.Job) string {
	if j.Phase != job.Queued {
		return ""
	}
	x := d.pullOf(j.Model)
	switch {
	case x == nil:
		return ""
	case !x.AskedAt.IsZero():
		return fmt.Sprintf(": miner %s still pulls the model, and has %d of %d bytes", x.Miner, x.DoneBytes, x.TotalBytes)
	case len(x.Failures) > 0:
		return fmt.Sprintf(": no miner has the model, and the last pull failed, at %s: %s", x.Failures[0].Miner, x.Failures[0].Why)
	default:
		return ": no miner has the model, and none was free to pull it"
	}
}

// expired gives the step that applies a job's timeout, with what else there is to say of it.
func expired(now time.Time, trouble string) func(job.Job) (job.Job, job.Message, error) {
	return func(j job.Job) (job.Job, job.Message, error) {
		next, owed, err := j.Expired(now)
		if next.Failure.Reason == coordinatorv1.ErrorReason_ERROR_REASON_QUEUE_TIMEOUT && j.Failure.IsZero() {
			next.Failure.Message += trouble
		}
		return next, owed, err
	}
}

// about gives what a line about a pull has.
func (p *pulling) about(more ...any) []any {
	return append([]any{obs.KeyMinerID, p.miner.id.String(), obs.KeyModel, p.model}, more...)
}
