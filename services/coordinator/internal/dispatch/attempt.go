package dispatch

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Cancel ends a live job of this client. Errors: JOB_NOT_FOUND, also for another's job;
// WRONG_STATE, when a result has been received or the job has ended.
func (d *Dispatcher) Cancel(ctx context.Context, client aitbc.AccountID, id aitbc.JobID) (job.Job, error) {
	now := clock()
	return d.do(ctx, &change{id: id, step: func(j job.Job) (job.Job, job.Message, error) {
		if j.Order.Client != client {
			return j, job.None, job.ErrNotFound
		}
		return j.Cancelled(now)
	}})
}

// do commits one change and gives its job, or why it was refused.
func (d *Dispatcher) do(ctx context.Context, c *change) (job.Job, error) {
	if err := d.commit(ctx, c); err != nil {
		return job.Job{}, err
	}
	return c.job, c.refused
}

// Start says that the attempt which the miner holds runs. Since when by the miner's clock is not
// used: limits count by ours. Saying it again changes nothing. Errors: LEASE_NOT_HELD.
func (d *Dispatcher) Start(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID, _ time.Time) (job.Job, error) {
	j, err := d.heldJob(ctx, miner, id)
	if err != nil {
		return job.Job{}, err
	}
	return d.StartAttempt(ctx, miner, id, j.Attempt)
}

// heldJob reads a job that the miner holds or has finished. Errors: LEASE_NOT_HELD.
func (d *Dispatcher) heldJob(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID) (job.Job, error) {
	j, err := d.read(ctx, id)
	if errors.Is(err, job.ErrNotFound) {
		return job.Job{}, job.ErrLeaseNotHeld
	}
	if err != nil {
		return job.Job{}, err
	}
	if !j.HeldBy(miner, j.Attempt) && !hasResultOf(j, miner, j.Attempt) {
		return job.Job{}, job.ErrLeaseNotHeld
	}
	return j, nil
}

// StartAttempt says that an attempt runs. Its result may have overtaken it; then it changes
// nothing. Errors: LEASE_NOT_HELD.
func (d *Dispatcher) StartAttempt(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID, attempt uint32) (job.Job, error) {
	now := clock()
	c := &change{id: id}
	c.step = func(j job.Job) (job.Job, job.Message, error) {
		// Memory may hear of the result by this change first: it is no reason to tell the miner to stop.
		if c.reported = hasResultOf(j, miner, attempt); c.reported {
			return j, job.None, nil
		}
		return j.Started(now, miner, attempt)
	}
	return d.do(ctx, c)
}

// Fail says that an attempt ended without a result. Errors: LEASE_NOT_HELD.
func (d *Dispatcher) Fail(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID, attempt uint32, why job.Failure) (job.Job, error) {
	return d.fail(ctx, miner, id, attempt, why, true)
}

func (d *Dispatcher) fail(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID, attempt uint32, why job.Failure, reported bool) (job.Job, error) {
	now := clock()
	why = failureOf(why)
	return d.do(ctx, &change{id: id, reported: reported, ends: holding{miner, attempt}, step: func(j job.Job) (job.Job, job.Message, error) {
		told := j.Outcome != ""
		if why.Reason == coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED && !told {
			why.Reason = coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST // it gave the job up by itself
		}
		return j.AttemptFailed(now, miner, attempt, why)
	}})
}

// maxFailureText bounds what a miner may say about a failure, in bytes.
const maxFailureText = 1000

// failureOf takes from a miner only the reasons that are its to give.
func failureOf(why job.Failure) job.Failure {
	switch why.Reason {
	case coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_OVERLOADED,
		coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR,
		coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_INCOMPLETE,
		coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND,
		coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED,
		coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT,
		coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED,
		coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED,
		coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST:
	default:
		why.Reason = coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR
	}
	if len(why.Message) > maxFailureText {
		why.Message = why.Message[:maxFailureText]
	}
	why.Message = strings.ToValidUTF8(why.Message, "")
	return why
}

// Complete takes a result in: it is verified and durable when this returns, and the job has its
// completion with the acceptance. A repeat gives the same. A result that does not check ends the
// attempt. Errors: LEASE_NOT_HELD; PROOF_REJECTED; WRONG_STATE, when another result of the attempt
// was accepted.
func (d *Dispatcher) Complete(ctx context.Context, miner aitbc.AccountID, r Result) (job.Job, error) {
	j, err := d.complete(ctx, miner, r, true)
	if errors.Is(err, errProof) {
		_, lost := d.fail(ctx, miner, r.JobID, r.Attempt, job.Failure{
			Reason: coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED, Message: err.Error(),
		}, false)
		if lost != nil && !errors.Is(lost, job.ErrLeaseNotHeld) {
			return job.Job{}, lost
		}
	}
	return j, err
}

// complete is Complete but for what a result that does not check means; reported says that it came
// over the stream, whose miner thus need not be told to stop.
func (d *Dispatcher) complete(ctx context.Context, miner aitbc.AccountID, r Result, reported bool) (job.Job, error) {
	now := clock()
	j, err := d.heldJob(ctx, miner, r.JobID)
	if err != nil {
		return job.Job{}, err
	}
	if hasResultOf(j, miner, r.Attempt) {
		return d.again(j, r)
	}
	if !j.HeldBy(miner, r.Attempt) {
		return job.Job{}, job.ErrLeaseNotHeld
	}
	key, err := d.minerKey(ctx, miner)
	if err != nil {
		return job.Job{}, err
	}
	completion, err := verify(now, j, key, r)
	if err != nil {
		return job.Job{}, err
	}
	completion.AcceptanceSignature = aitbc.Sign(d.deps.Operator, completion.Acceptance().SigningBytes())
	overtaken := false
	c := &change{id: j.ID, reported: reported, ends: holding{miner, r.Attempt}, step: func(current job.Job) (job.Job, job.Message, error) {
		if overtaken = hasResultOf(current, miner, r.Attempt); overtaken {
			return current, job.None, nil
		}
		if current.Lease() != j.Lease() {
			return current, job.None, job.ErrLeaseNotHeld
		}
		return current.Accepted(completion)
	}}
	c.also = func(tx store.Tx) error {
		if overtaken {
			return nil
		}
		return tx.PutResult(j.ID, plantedText(r.Result))
	}
	done, err := d.do(ctx, c)
	if err == nil && overtaken {
		return d.again(done, r)
	}
	return done, err
}

// again answers a result that comes once more.
func (d *Dispatcher) again(j job.Job, r Result) (job.Job, error) {
	if !bytes.Equal(j.Completion.Statement.SigningBytes(), r.Statement) {
		d.accuse(j, r)
		return job.Job{}, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, "another result of this attempt was accepted")
	}
	return j, nil
}

// minerKey gives the key that the miner's session has proven, or the ledger's word on it.
func (d *Dispatcher) minerKey(ctx context.Context, id aitbc.AccountID) (ed25519.PublicKey, error) {
	d.mu.Lock()
	if m := d.miners[id]; m != nil && m.key != nil {
		defer d.mu.Unlock()
		return m.key, nil
	}
	d.mu.Unlock()
	key, err := d.deps.Ledger.MinerKey(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the key of miner %s: %w", id, err)
	}
	return key, nil
}

// CompleteParts is Complete for those who send the parts of a statement instead of its bytes. A
// result that does not check is refused and the attempt goes on: its stream may still bring one
// that does. Errors: those of Complete.
func (d *Dispatcher) CompleteParts(ctx context.Context, miner aitbc.AccountID, c Completion) (job.Job, error) {
	j, err := d.heldJob(ctx, miner, c.JobID)
	if err != nil {
		return job.Job{}, err
	}
	if c.Hash != aitbc.ResultHash([]byte(c.Result)) {
		return job.Job{}, rejected("the hash is not the result's")
	}
	if c.Attempt == 0 {
		c.Attempt = j.Attempt
	}
	if c.ModelDigest.IsZero() {
		c.ModelDigest = j.ModelDigest
	}
	if c.Engine == "" {
		c.Engine = d.engineOf(miner)
	}
	statement := aitbc.Statement{
		ChainID:          j.Order.ChainID,
		JobID:            j.ID,
		Attempt:          c.Attempt,
		LeaseHash:        j.Lease().Hash(),
		ResultCommitment: aitbc.Commitment(j.Salt, c.Hash),
		Model:            j.Model,
		ModelDigest:      c.ModelDigest,
		ComputeUS:        c.ComputeUS,
		PromptTokens:     c.PromptTokens,
		OutputTokens:     c.OutputTokens,
		Engine:           c.Engine,
		Stopped:          !j.StopBy.IsZero(),
	}
	return d.complete(ctx, miner, Result{
		JobID: c.JobID, Attempt: c.Attempt, Result: c.Result,
		Statement: statement.SigningBytes(), Signature: c.Signature, FinishReason: c.FinishReason, GPUUtilization: c.GPUUtilization,
	}, false)
}

func (d *Dispatcher) engineOf(id aitbc.AccountID) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.miners[id]; m != nil {
		return m.state.Engine
	}
	return ""
}
