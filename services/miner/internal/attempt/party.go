package attempt

import (
	"github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// party is an operator on its ledger: who a lease is of, and so who alone hears of it.
type party struct {
	chain string
	id    aitbc.AccountID
}

func (o Operator) party() party { return party{o.ChainID, o.ID} }

func partyOf(lease aitbc.Lease) party { return party{lease.ChainID, lease.Operator} }

// ownerOf gives who the lease is of that runs or has a record. One whose record can't be read is
// nobody's. The mutex is held.
func (r *Runner) ownerOf(id string) party {
	if x := r.running[id]; x != nil {
		return x.job.operator.party()
	}
	if owner, known := r.owners[id]; known {
		return owner
	}
	lease, err := r.deps.Spool.Lease(id)
	if err != nil {
		r.deps.Log.Error("cannot read a result", obs.KeyLeaseID, id, obs.KeyError, err)
	}
	owner := partyOf(lease)
	if r.deps.Spool.State(id) == spool.Waiting {
		r.owners[id] = owner
	}
	return owner
}
