package attempt

import (
	"errors"
	"fmt"
	"time"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// Offer takes a lease, refuses it, or repeats what became of it. It does not wait for anything.
func (r *Runner) Offer(op Operator, wire *coordinatorv1.Lease) {
	now := time.Now()
	j, refusal := r.admit(op, wire, now)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.change()
	id := wire.GetLeaseId()
	l := offered{op.party(), id}
	if r.repeat(l) {
		return
	}
	switch {
	case refusal != nil:
	case r.isWithheld(j.lease.Model):
		refusal = &executor.Failure{Reason: executor.ModelNotFound, Message: "the owner keeps the memory that the model needs"}
	case r.draining:
		refusal = &executor.Failure{Reason: executor.Overloaded, Message: "the miner is draining"}
	case len(r.running) >= r.slots():
		refusal = &executor.Failure{Reason: executor.Overloaded, Message: fmt.Sprintf("all %d slots are taken", r.slots())}
	default:
		model := executor.FullName(j.lease.Model)
		if own := r.slotsOf(model); own > 0 && r.countOf(model) >= own {
			refusal = &executor.Failure{Reason: executor.Overloaded, Message: fmt.Sprintf("all %d slots of %s are taken", own, model)}
		}
	}
	if refusal != nil {
		r.ended.fail(l, refusal)
		r.failed++
		r.deps.Metrics.refused()
		r.deps.Log.Warn("lease refused", obs.KeyJobID, wire.GetJobId(), obs.KeyLeaseID, id, obs.KeyModel, wire.GetModel(), obs.KeyError, refusal)
		return
	}
	started := &run{job: j, started: now}
	r.running[id], r.starts[id] = started, now
	r.deps.Metrics.began()
	r.start <- started
}

// repeat handles a lease that is not new. The mutex is held.
func (r *Runner) repeat(l offered) bool {
	running, state := r.running[l.id] != nil, r.deps.Spool.State(l.id)
	switch {
	case !running && state == spool.None:
		return r.ended.again(l)
	case r.ownerOf(l.id) != l.by:
		r.ended.fail(l, &executor.Failure{Reason: executor.Rejected, Message: "another operator's lease has this id"})
	case running:
	case state == spool.Waiting:
		r.sendings[l.id]++
	case state == spool.Accepted:
		r.ended.fail(l, &executor.Failure{Reason: cancelled, Message: "its result was accepted before"})
	case state == spool.Evidence:
		r.ended.fail(l, &executor.Failure{Reason: cancelled, Message: "it was revoked before"})
	}
	return true
}

// Revoke ends a lease of this operator's: what runs is stopped. With settle, what was done is signed
// and sent, or a failure when there is nothing; without, nothing is sent. Errors: of the spool.
func (r *Runner) Revoke(op Operator, id string, settle bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.change()
	l := offered{op.party(), id}
	running, state := r.running[id], r.deps.Spool.State(id)
	if (running != nil || state != spool.None) && r.ownerOf(id) != l.by {
		running, state = nil, spool.None // it is none of this operator's business
	}
	switch {
	case running != nil:
		running.halt(map[bool]error{true: errSettle, false: errRevoked}[settle])
	case state == spool.Waiting && settle:
		r.sendings[id]++
	case state == spool.Waiting:
		r.forget(id)
		if err := r.deps.Spool.Revoke(id, time.Now()); err != nil {
			return fmt.Errorf("revoke %s: %w", id, err)
		}
	case settle && !r.ended.again(l):
		r.ended.fail(l, &executor.Failure{Reason: cancelled, Message: "the lease is not known here"})
	}
	return nil
}

// errAcceptance wraps what is wrong with an acceptance.
var errAcceptance = errors.New("the acceptance does not check")

// Accept keeps the operator's acceptance of a result, which then leaves the queue. An acceptance
// that was there before, or whose result is not here, changes nothing. Errors: an acceptance that
// does not check, and those of the spool; the result then stays.
func (r *Runner) Accept(op Operator, id string, acceptance *coordinatorv1.Acceptance) error {
	record, err := r.deps.Spool.Get(id)
	if errors.Is(err, spool.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	if err := checkAcceptance(op, record, acceptance); err != nil {
		return fmt.Errorf("accept %s: %w", id, err)
	}
	err = r.deps.Spool.Accept(id, acceptance, time.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(id)
	r.change()
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	return nil
}

func checkAcceptance(op Operator, record spool.Record, acceptance *coordinatorv1.Acceptance) error {
	body, err := aitbc.ParseAcceptance(acceptance.GetBody())
	if err != nil {
		return fmt.Errorf("%w: %w", errAcceptance, err)
	}
	statement, err := aitbc.ParseStatement(record.Result.GetStatementBody())
	if err != nil {
		return fmt.Errorf("read our statement: %w", err)
	}
	lease, err := aitbc.ParseLease(record.Lease.GetBody())
	if err != nil {
		return fmt.Errorf("read our lease: %w", err)
	}
	switch {
	case partyOf(lease) != op.party():
		return fmt.Errorf("%w: the lease is another operator's", errAcceptance)
	case !aitbc.Verify(op.Key, acceptance.GetBody(), acceptance.GetSignature()):
		return fmt.Errorf("%w: its signature is not the operator's", errAcceptance)
	case body.ChainID != statement.ChainID || body.JobID != statement.JobID || body.StatementHash != statement.Hash():
		return fmt.Errorf("%w: it is of another statement", errAcceptance)
	}
	return nil
}

// forget drops what was kept for telling of a waiting result. The mutex is held.
func (r *Runner) forget(id string) {
	delete(r.starts, id)
	delete(r.sendings, id)
	delete(r.owners, id)
}
