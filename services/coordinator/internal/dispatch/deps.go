package dispatch

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Deps is what a Dispatcher needs; all of it but Accuse is required.
type Deps struct {
	// Store is read; everything is written through Committer, which must be running.
	Store     store.Reader
	Committer Committer
	// Ledger answers what must be known before a job is taken.
	Ledger Ledger
	// Outbox is told that the ledger is owed something.
	Outbox Outbox
	// Shards are those of the jobs that this replica has; at least one. Takes: a replica among several
	// asks the store what a miner holds that comes to it.
	Shards []int32
	Takes  bool
	// Accuse is told of a miner that contradicts itself; it must not block. Nil: there is nobody to tell.
	Accuse func(Contradiction)
	// Operator signs leases and acceptances.
	Operator ed25519.PrivateKey
	// Log gets one line per step of a job.
	Log *slog.Logger
}

func (d Deps) validate() error {
	if d.Store == nil || d.Committer == nil || d.Ledger == nil || d.Outbox == nil || d.Log == nil {
		return errors.New("store, committer, ledger, purse, outbox and log are required")
	}
	if len(d.Shards) == 0 {
		return errors.New("a shard is required")
	}
	if len(d.Operator) != ed25519.PrivateKeySize {
		return errors.New("the operator's key is required")
	}
	return nil
}

// Committer makes durable changes; *store.Committer is one.
type Committer interface {
	Commit(ctx context.Context, fn func(store.Tx) error) error
}

// Outbox drains what the ledger is owed; package settlement has one.
type Outbox interface {
	// Notify says that something is owed. It must not block.
	Notify()
	// Decide gives the outcome of a message that need not be owed. It must not wait.
	Decide(id aitbc.JobID, kind job.Message) (outcome job.Outcome, now bool)
}

// Ledger reads the ledger; *account.Reader is one. Its answers may be a block old, but never older
// than an escrow whose outcome was reported. Errors: those with the reason LEDGER_UNAVAILABLE when
// it does not answer. Calls are bounded by their context.
type Ledger interface {
	// Terms gives the ledger's clock and what an order must respect.
	Terms(ctx context.Context) (Terms, error)
	// Funds gives what an account has. An account that is not there has nothing: no error.
	Funds(ctx context.Context, client aitbc.AccountID) (Funds, error)
	// MinerKey gives the public key of a registered miner. Errors: MINER_NOT_FOUND.
	MinerKey(ctx context.Context, miner aitbc.AccountID) (ed25519.PublicKey, error)
}

// Terms are the ledger's clock and the parameters for orders.
type Terms struct {
	// Now is the ledger's clock.
	Now time.Time
	// Price is the default price of a compute second; MinPrice and MaxPrice bound an order's.
	Price    aitbc.Amount
	MinPrice aitbc.Amount
	MaxPrice aitbc.Amount
	// MinGrace is the least time between a job's total timeout and its settle-by; MaxSettleAhead
	// and MaxExpiryAhead bound how far ahead settle-by and expiry may be.
	MinGrace       time.Duration
	MaxSettleAhead time.Duration
	MaxExpiryAhead time.Duration
}

// Funds is what an account has, by the last block that was seen.
type Funds struct {
	// Balance is what is free.
	Balance aitbc.Amount
	// Allowance is what the operator may escrow without the client's signature: what is left of
	// the grant and of its daily limit; 0 when there is none or it has expired.
	Allowance aitbc.Amount
	// PerJob is what the grant allows for one job; 0: no limit of its own.
	PerJob aitbc.Amount
	// Key is the account's public key; nil when the ledger does not know it yet.
	Key ed25519.PublicKey
}

// Link is the way to one connected miner. Its methods are called under the dispatcher's lock: they
// must not block and must not call back. What a link cannot take, it answers by ending itself.
type Link interface {
	// Lease hands an attempt over. The same lease may come again.
	Lease(Handover)
	// Revoke ends a lease; settle: the miner stops and sends its one statement.
	Revoke(leaseID string, reason coordinatorv1.ErrorReason, settle bool)
	// Text asks for a running lease's text, from this byte on and then as the engine makes it.
	Text(leaseID string, from int64)
	// Pull says which models the miner is to pull: all of them.
	Pull(models []string)
	// End closes the session, which a newer one of the same miner replaces.
	End()
}

// Handover is a lease with all that running it needs.
type Handover struct {
	// Job holds the lease (Job.Lease), its signature and the order.
	Job job.Job
	// Payload is what to run.
	Payload job.Payload
}
