package attempt

import (
	"errors"
	"slices"
	"strings"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/pull"
)

// Pulls has the engine fetch models; [pull.Puller] is one.
type Pulls interface {
	// States gives the models that are wanted and lacking. The runner's mutex is held meanwhile.
	States() []pull.State
	// Want says which models a coordinator asks for: all of them.
	Want(names []string)
}

// maxPullError bounds what a coordinator is told of a failure, in bytes.
const maxPullError = 1000

// Pull has the engine fetch the models that a coordinator asks for, of those that the owner allows; what an
// earlier call asked for and this one does not is let go. Any operator may ask, the last word counts.
func (r *Runner) Pull(_ Operator, models []string) {
	if r.deps.Pulls == nil {
		return
	}
	var wanted []string
	for _, name := range executor.FullNames(models) {
		if slices.Contains(r.config.Pullable, name) {
			wanted = append(wanted, name)
		}
	}
	r.deps.Pulls.Want(wanted)
}

// PullsMoved says that there is something new to tell of the pulls.
func (r *Runner) PullsMoved() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change()
}

// Fits says why the memory that the owner keeps leaves no room for a model of so many bytes; nil: there is.
func (r *Runner) Fits(model string, bytes int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, withheld := Withhold([]executor.Model{{Name: model, SizeBytes: bytes}}, r.seen.devices, r.config.MemoryReserve)
	if len(withheld) > 0 {
		return errors.New(withheld[0].Why)
	}
	return nil
}

// pulls gives what the state says of pulls: what may be asked for, and what was. While the engine pulls
// something for the owner nothing more may be asked for: it would wait. The mutex is held.
func (r *Runner) pulls() (pullable []string, pulls []*coordinatorv1.ModelPull) {
	if r.deps.Pulls == nil || len(r.config.Pullable) == 0 {
		return nil, nil
	}
	busy := false
	for _, s := range r.deps.Pulls.States() {
		if !s.Requested {
			busy = busy || s.Active
			continue
		}
		p := &coordinatorv1.ModelPull{Model: s.Name, CompletedBytes: s.DoneBytes, TotalBytes: s.TotalBytes}
		if s.Err != nil {
			text := strings.TrimSpace(s.Err.Error()) // it ends with what a registry said
			p.Error = strings.ToValidUTF8(text[:min(len(text), maxPullError)], "")
		}
		pulls = append(pulls, p)
	}
	if busy || r.draining || r.seen.engine == "" || r.seen.err != "" {
		return nil, pulls
	}
	for _, name := range r.config.Pullable {
		if !r.has(name) {
			pullable = append(pullable, name)
		}
	}
	return pullable, pulls
}

// has says that the engine has a model, offered or withheld. The mutex is held.
func (r *Runner) has(name string) bool {
	return r.isWithheld(name) || slices.ContainsFunc(r.seen.models, func(m executor.Model) bool { return m.Name == name })
}
