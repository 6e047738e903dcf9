package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// FullName gives a model's full name: without a tag it is the latest.
func FullName(model string) string { return aitbc.FullModelName(model) }

// Submit makes a job durable and has its escrow begin. A request id that the account used before
// gives the job that it made then, whatever has become of it. Errors: INVALID_FIELD,
// INSUFFICIENT_FUNDS, MODEL_NOT_FOUND, IDEMPOTENCY_MISMATCH, JOB_EXISTS, OVERLOADED,
// LEDGER_UNAVAILABLE, SPEND_LIMIT.
func (d *Dispatcher) Submit(ctx context.Context, r SubmitRequest) (job.Job, error) {
	// Before any work: what is refused late has cost as much as what is done.
	defer d.leaveSubmission()
	if err := d.enterSubmission(); err != nil {
		return job.Job{}, err
	}
	r.Model = FullName(r.Model)
	hash, err := r.hash()
	if err != nil {
		return job.Job{}, err
	}
	j, payload, err := d.draft(ctx, r)
	if err == nil {
		var e *entry
		if e, err = d.admit(ctx, j, payload); err == nil {
			return d.insert(ctx, r, hash, e, j, payload)
		}
	}
	if r.RequestID == "" {
		return job.Job{}, err
	}
	// A repeat must get its answer even when the same job would be refused today.
	if first, again := d.repeated(ctx, r, hash); again != nil {
		return job.Job{}, again
	} else if first != nil {
		return *first, nil
	}
	return job.Job{}, err
}

// hash identifies what was asked for; the request id only names it.
func (r SubmitRequest) hash() (aitbc.Hash, error) {
	r.RequestID = ""
	text, err := json.Marshal(r)
	if err != nil {
		return aitbc.Hash{}, fmt.Errorf("hash the request: %w", err)
	}
	return sha256.Sum256(text), nil
}

// admit checks what may change from one moment to the next, and makes the job's entry with its
// money set aside.
func (d *Dispatcher) admit(ctx context.Context, j job.Job, payload job.Payload) (*entry, error) {
	e, err := d.reserve(j, payload)
	if err != nil {
		return nil, err
	}
	// After the entry, so that of two jobs at once at least one sees the other's money waiting.
	if err := d.checkFunds(ctx, j); err != nil {
		d.drop(j.ID, e)
		return nil, err
	}
	return e, nil
}

// fundsWait is how long a submission waits for the client's own escrows under way when only they
// leave it short: one that the ledger has made and has not reported yet counts twice until then.
const fundsWait = time.Second

// checkFunds refuses a job whose price limit the account cannot cover beside what waits to be
// escrowed. The ledger decides in the end; this is so that the client hears it at once.
func (d *Dispatcher) checkFunds(ctx context.Context, j job.Job) error {
	timer := time.NewTimer(fundsWait)
	defer timer.Stop()
	for {
		others, moved := d.othersWaiting(j)
		funds, err := d.deps.Ledger.Funds(ctx, j.Order.Client)
		if err != nil {
			return err
		}
		refusal := covers(funds, j, others)
		if refusal == nil {
			return nil
		}
		if others == 0 || covers(funds, j, 0) != nil {
			return refusal
		}
		select {
		case <-moved:
		case <-timer.C:
			return refusal
		case <-ctx.Done():
			return fmt.Errorf("await the client's escrows: %w", context.Cause(ctx))
		}
	}
}

// othersWaiting gives what waits to be escrowed for the client's other jobs, and a channel that is
// closed when some escrow's outcome is known.
func (d *Dispatcher) othersWaiting(j job.Job) (aitbc.Amount, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting[j.Order.Client] - j.Order.MaxPrice, d.escrowMoved
}

// covers says why an account cannot pay for a job while others of its jobs wait; nil: it can.
func covers(funds Funds, j job.Job, others aitbc.Amount) *job.Error {
	free, limit, granted := funds.Balance, "the balance", len(j.OrderSignature) == 0
	if granted && funds.Allowance < free {
		free, limit = funds.Allowance, "the operator's allowance"
	}
	if j.Order.MaxPrice > free-others {
		return job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS,
			"the job may cost up to %s, and %s covers %s beside %s that waits to be escrowed: fund the account, or set a lower max_price or a shorter timeouts.execution",
			j.Order.MaxPrice, limit, free, others)
	}
	if granted && funds.PerJob > 0 && j.Order.MaxPrice > funds.PerJob {
		return job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS,
			"the job may cost up to %s, and the operator's allowance covers %s a job: set a lower max_price or a shorter timeouts.execution", j.Order.MaxPrice, funds.PerJob)
	}
	return nil
}

func (d *Dispatcher) reserve(j job.Job, payload job.Payload) (*entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if refused := d.checkModel(j.Model, j.PinnedDigest); refused != nil {
		return nil, refused
	}
	if len(d.live) >= d.config.MaxLive {
		return nil, &overloadedError{what: fmt.Sprintf("%d jobs are under way", len(d.live))}
	}
	if e := d.live[j.ID]; e != nil && !e.blank {
		return nil, job.ErrExists
	}
	e := d.enter(j.ID, j.Order)
	e.tokens = tokensOf(payload)
	e.cost = costOf(e.tokens)
	if err := d.book(e); err != nil {
		d.leave(j.ID, e)
		return nil, err
	}
	d.keepPayload(e, payload)
	return e, nil
}

// overloadedError is a refusal that passes.
type overloadedError struct{ what string }

// Error says so.
func (e *overloadedError) Error() string {
	return e.what + ", which is the most: come back later"
}

// Reason gives the class that the API shows.
func (*overloadedError) Reason() coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED
}

// RetryAfter gives when to come back.
func (*overloadedError) RetryAfter() time.Duration { return time.Second }

// checkModel refuses a model that no miner has or may pull, provided that there are miners.
func (d *Dispatcher) checkModel(model string, digest aitbc.Hash) *job.Error {
	if d.scheduler.Has(model, digest) || d.othersHave(model, digest) {
		return nil
	}
	if d.mayPull(model) {
		return nil
	}
	connected := len(d.others.Models) > 0
	for _, m := range d.miners {
		connected = connected || m.here()
	}
	if !connected {
		return nil
	}
	what := model
	if !digest.IsZero() {
		what += " with digest " + digest.String()
	}
	return job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND, "no connected miner has the model %s, or may pull it", what)
}

func (d *Dispatcher) drop(id aitbc.JobID, e *entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leave(id, e)
	d.makeRoom()
}

// insert makes an admitted job durable, unless its request id gives an earlier one.
func (d *Dispatcher) insert(ctx context.Context, r SubmitRequest, hash aitbc.Hash, e *entry, j job.Job, payload job.Payload) (job.Job, error) {
	if plantedLoss(j.ID) {
		d.drop(j.ID, e)
		return j, nil
	}
	var first *job.Job
	inserted, owed, err := d.settleNow(j, job.SubmitJob)
	if err != nil {
		d.drop(j.ID, e)
		return job.Job{}, err
	}
	j = inserted
	if _, lease := d.atOnce(clock(), j); lease != nil {
		j = lease(j)
	}
	c := &change{id: j.ID, job: j, moved: true, owed: owed}
	err = d.deps.Committer.Commit(ctx, func(tx store.Tx) (err error) {
		first = nil
		if r.RequestID != "" {
			if first, err = earlier(tx, r, hash, j.SubmittedAt); err != nil || first != nil {
				return err
			}
		}
		d.commits++
		c.number = d.commits
		if err := d.insertNew(tx, r, hash, c, payload); err != nil {
			return err
		}
		crashAt("before", []*change{c})
		return nil
	})
	if err != nil || first != nil {
		d.drop(j.ID, e)
		if err != nil {
			return job.Job{}, fmt.Errorf("store job %s: %w", j.ID, err)
		}
		return *first, nil
	}
	crashAt("after", []*change{c})
	d.committed(ctx, []*change{c})
	return j, nil
}

func (d *Dispatcher) insertNew(tx store.Tx, r SubmitRequest, hash aitbc.Hash, c *change, payload job.Payload) error {
	j := c.job
	for _, b := range d.budgets(r) {
		if err := b.check(tx, j); err != nil {
			return err
		}
	}
	if err := tx.InsertJob(j, payload); err != nil {
		return err
	}
	if err := spend(tx, j, j.Order.MaxPrice); err != nil {
		return err
	}
	if c.owed != job.None {
		if err := tx.Owe(j.ID, c.owed); err != nil {
			return err
		}
	}
	if r.RequestID == "" {
		return nil
	}
	if err := tx.ForgetRequests(j.SubmittedAt, 2); err != nil {
		return err
	}
	return tx.PutRequest(r.Client, r.RequestID, store.Request{
		Hash: hash, JobID: j.ID, ExpiresAt: j.SubmittedAt.Add(d.config.RequestLife),
	})
}

// earlier gives the job that the request id stands for; nil: none. Errors: IDEMPOTENCY_MISMATCH.
func earlier(tx store.Tx, r SubmitRequest, hash aitbc.Hash, now time.Time) (*job.Job, error) {
	if crash.Enabled && crash.Planted("forgotten-key") {
		return nil, nil
	}
	request, err := tx.Request(r.Client, r.RequestID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !now.Before(request.ExpiresAt) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if request.Hash != hash {
		return nil, job.ErrMismatch
	}
	j, err := tx.Job(request.JobID)
	if err != nil {
		return nil, err
	}
	return &j, nil
}

// repeated gives the job that a refused request's id stands for; nil: none.
func (d *Dispatcher) repeated(ctx context.Context, r SubmitRequest, hash aitbc.Hash) (first *job.Job, err error) {
	now := clock()
	err = d.deps.Committer.Commit(ctx, func(tx store.Tx) (err error) {
		first, err = earlier(tx, r, hash, now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look the request up: %w", err)
	}
	return first, nil
}
