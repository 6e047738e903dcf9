package dispatch

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Contradiction is a miner's second final statement for a lease of which another one was accepted. The
// ledger takes its stake for that.
type Contradiction struct {
	// Job has the order, the lease and the accepted statement.
	Job job.Job
	// Statement is the other statement's signing bytes, Signature the miner's of it.
	Statement []byte
	Signature []byte
}

// accuse tells of a result that contradicts the accepted one. Only what the miner signed itself counts,
// and only final statements do.
func (d *Dispatcher) accuse(j job.Job, r Result) {
	if d.deps.Accuse == nil || j.Completion.Statement.Running {
		return
	}
	s, err := aitbc.ParseStatement(r.Statement)
	if err != nil || s.LeaseHash != j.Completion.Statement.LeaseHash || !aitbc.Verify(j.Completion.MinerKey, r.Statement, r.Signature) {
		return
	}
	d.deps.Accuse(Contradiction{Job: j, Statement: r.Statement, Signature: r.Signature})
}

// Expel ends a miner's session. It may come back, if the ledger lets it.
func (d *Dispatcher) Expel(id aitbc.AccountID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.miners[id]; m != nil && m.link != nil {
		m.link.End()
	}
}
