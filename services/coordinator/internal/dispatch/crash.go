package dispatch

import (
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// crashAt is where tools/chaos may end the process: when is "before", with everything written and
// nothing committed, or "after", with everything committed and nobody told.
func crashAt(when string, changes []*change) {
	if !crash.Enabled {
		return
	}
	for _, c := range changes {
		if name := c.name(); name != "" {
			crash.At("coordinator/" + name + "/" + when)
		}
	}
}

// name is what the change does to its job, as a crash point's name; empty: nothing.
func (c *change) name() string {
	before, after := c.before, c.job
	switch {
	case c.refused != nil || !c.moved:
		return ""
	case before.ID != after.ID:
		return "submit"
	case after.Phase == before.Phase:
		return "stop"
	case before.Phase == job.Escrowing && (after.Phase == job.Queued || after.Phase == job.Leased):
		return "escrow"
	case after.Phase == job.Queued:
		return "retry"
	case after.Phase == job.Unknown:
		return "lose"
	case before.Phase == job.Unknown && after.HasLease():
		return "find"
	case after.Phase == job.Leased:
		return "lease"
	case after.Phase == job.Running:
		return "start"
	case after.Phase == job.Settling && after.Completion != nil:
		return "result"
	case after.Phase == job.Settling:
		return "refund"
	default:
		return "done"
	}
}
