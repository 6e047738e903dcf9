package api

import (
	"fmt"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
)

// pullSummary says what is done about a model that no miner has.
func pullSummary(p dispatch.Pull) string {
	switch {
	case !p.AskedAt.IsZero() && p.TotalBytes == 0:
		return fmt.Sprintf("miner %s was asked to pull it", p.Miner)
	case !p.AskedAt.IsZero():
		return fmt.Sprintf("miner %s pulls it, and has %.1f of %.1f MiB", p.Miner, float64(p.DoneBytes)/(1<<20), float64(p.TotalBytes)/(1<<20))
	case len(p.Failures) > 0:
		f := p.Failures[0]
		return fmt.Sprintf("miner %s failed to pull it (%s), and may be asked again at %s", f.Miner, f.Why, f.Again.Format(time.TimeOnly))
	case p.Pullers > 0:
		return fmt.Sprintf("%d miners may pull it, and none is free to", p.Pullers)
	default:
		return "a miner of another coordinator may pull it"
	}
}

// pullMessage is what is done about a model as the contract shows it; nil: nothing.
func pullMessage(p *dispatch.Pull) *coordinatorv1.JobPull {
	if p == nil {
		return nil
	}
	message := &coordinatorv1.JobPull{Pullers: int32(p.Pullers), MinerId: accountOrEmpty(p.Miner), AskedAt: stamp(p.AskedAt)}
	message.CompletedBytes, message.TotalBytes = float64(p.DoneBytes), float64(p.TotalBytes)
	for _, f := range p.Failures[:min(len(p.Failures), maxFindings)] {
		message.Failures = append(message.Failures, &coordinatorv1.PullFailure{
			MinerId: f.Miner.String(), At: stamp(f.At), Message: f.Why, AgainAt: stamp(f.Again),
		})
	}
	return message
}
