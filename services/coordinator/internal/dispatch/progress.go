package dispatch

import (
	"context"
	"errors"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Progress is a running statement as its miner sends it.
type Progress struct {
	JobID   aitbc.JobID
	Attempt uint32
	// TextBytes is how much of the attempt's text it is about, Ending what makes that a whole answer.
	TextBytes int64
	Ending    string
	// Statement is its signing bytes, Signature the miner's.
	Statement []byte
	Signature []byte
}

// maxEnding is the contract's limit of an ending, in bytes.
const maxEnding = 64

// progress is an accepted running statement and the result that it is about.
type progress struct {
	completion job.Completion
	result     string
}

// Progress takes in a running statement of an attempt that the miner holds. The highest that checks is
// kept, in memory: it is made durable with the step that it settles, and a coordinator that begins
// anew gets the next one within a second. One about text that is not here says nothing, nor does
// one of another attempt. Errors: PROOF_REJECTED; then the attempt has ended.
func (d *Dispatcher) Progress(ctx context.Context, miner aitbc.AccountID, p Progress) error {
	err := d.progress(ctx, miner, p)
	if errors.Is(err, errProof) {
		_, lost := d.fail(ctx, miner, p.JobID, p.Attempt, job.Failure{Reason: errProof.Why, Message: err.Error()}, false)
		if lost != nil && !errors.Is(lost, job.ErrLeaseNotHeld) {
			return lost
		}
	}
	return err
}

func (d *Dispatcher) progress(ctx context.Context, miner aitbc.AccountID, p Progress) error {
	now := clock()
	j, text, ok := d.beginning(miner, p)
	if !ok {
		return nil
	}
	if len(p.Ending) > maxEnding || p.Ending != "" && j.Type != aitbc.TypeChat {
		return rejected("its ending is none of the type %s", j.Type)
	}
	key, err := d.minerKey(ctx, miner)
	if err != nil {
		return err
	}
	next := &progress{result: text + p.Ending}
	next.completion, err = verifyRunning(now, j, key, Result{
		JobID: p.JobID, Attempt: p.Attempt, Result: next.result, Statement: p.Statement, Signature: p.Signature,
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.live[p.JobID]; e != nil && e.job.HeldBy(miner, p.Attempt) && next.over(e.progress) {
		e.progress = next
	}
	return nil
}

// over reports whether a running statement stands for the one before it too.
func (p *progress) over(before *progress) bool {
	if before == nil || before.completion.Statement.LeaseHash != p.completion.Statement.LeaseHash {
		return true
	}
	a, b := before.completion, p.completion
	return b.Statement.ComputeUS >= a.Statement.ComputeUS && b.Statement.OutputTokens >= a.Statement.OutputTokens && b.MeteredUS >= a.MeteredUS
}

// beginning gives the job and the text that a running statement is about.
func (d *Dispatcher) beginning(miner aitbc.AccountID, p Progress) (job.Job, string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.live[p.JobID]
	if e == nil || !e.job.HeldBy(miner, p.Attempt) || e.topic == nil {
		return job.Job{}, "", false
	}
	text, ok := e.topic.Beginning(p.Attempt, p.TextBytes)
	return e.job, text, ok
}

// payProgress settles an attempt by its highest running statement when a step would return the escrow
// of a job that was stopped at its client's wish: the client has had that much.
func (d *Dispatcher) payProgress(tx store.Tx, c *change) error {
	if c.refused != nil || c.owed != job.RefundJob || c.job.Outcome != job.StatusCancelled || !c.before.HasLease() {
		return nil //nolint:nilerr // a step that was refused is no error of this one
	}
	p := d.progressOf(c.before)
	if p == nil {
		return nil
	}
	completion := p.completion
	completion.AcceptanceSignature = aitbc.Sign(d.deps.Operator, completion.Acceptance().SigningBytes())
	settled, owed, err := c.before.Accepted(completion)
	if err != nil {
		return nil //nolint:nilerr // it is of no use, so the escrow returns as it would have
	}
	c.job, c.owed = settled, owed
	return tx.PutResult(c.id, plantedText(p.result))
}

func (d *Dispatcher) progressOf(j job.Job) *progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.live[j.ID]
	if e == nil || e.progress == nil || e.progress.completion.Statement.LeaseHash != j.Lease().Hash() {
		return nil
	}
	return e.progress
}
