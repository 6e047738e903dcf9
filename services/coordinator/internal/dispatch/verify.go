package dispatch

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

const (
	// maxResult bounds a result, in bytes; it is the contract's limit.
	maxResult = 1 << 20
	// maxEngine bounds the name of an engine, in bytes.
	maxEngine = 64
)

// errProof matches every refusal of a result.
var errProof = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED}

func rejected(format string, args ...any) error {
	return job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED, "the result was rejected: "+format, args...)
}

// verify checks a result against the lease that its miner holds and meters it. It is pure. What it
// shows: this miner says that this result answers this order, and nothing was altered on the way.
// It does not show that the model was run.
func verify(now time.Time, j job.Job, key ed25519.PublicKey, r Result) (job.Completion, error) {
	s, err := aitbc.ParseStatement(r.Statement)
	if err != nil {
		return job.Completion{}, rejected("%s", err)
	}
	return verifyStatement(now, j, key, r, s)
}

// verifyRunning checks and meters the beginning of an answer by its running statement, as verify does
// a whole one.
func verifyRunning(now time.Time, j job.Job, key ed25519.PublicKey, r Result) (job.Completion, error) {
	s, err := aitbc.ParseAnyStatement(r.Statement)
	if err != nil || !s.Running || s.Stopped {
		return job.Completion{}, rejected("what its miner signed is no running statement")
	}
	return verifyStatement(now, j, key, r, s)
}

func verifyStatement(now time.Time, j job.Job, key ed25519.PublicKey, r Result, s aitbc.Statement) (job.Completion, error) {
	hash := aitbc.ResultHash([]byte(r.Result))
	operatorUS := max(workedUntil(now, j).Sub(j.LeasedAt).Microseconds(), 0)
	var fault error
	switch {
	case len(r.Result) > maxResult:
		fault = rejected("it has %d bytes, at most %d are taken", len(r.Result), maxResult)
	case s.ChainID != j.Order.ChainID || s.JobID != j.ID || s.Attempt != j.Attempt || s.LeaseHash != j.Lease().Hash():
		fault = rejected("the statement is about another lease")
	case s.ResultCommitment != aitbc.Commitment(j.Salt, hash):
		fault = rejected("the statement is about another result")
	case s.Model != j.Model || s.ModelDigest != j.ModelDigest:
		fault = rejected("the statement says %s with digest %s, the lease %s with digest %s", s.Model, s.ModelDigest, j.Model, j.ModelDigest)
	case s.ComputeUS < 0 || len(s.Engine) > maxEngine:
		fault = rejected("the statement's compute time or engine is out of range")
	case s.Stopped && !mayStop(j, operatorUS):
		fault = rejected("the statement says stopped, and nobody asked for that")
	case !aitbc.Verify(key, r.Statement, r.Signature):
		fault = rejected("the signature is not the miner's")
	default:
		fault = checkForm(j.Type, r.Result)
	}
	if fault != nil {
		return job.Completion{}, fault
	}
	return job.Completion{
		ResultHash:     hash,
		Statement:      s,
		Signature:      bytes.Clone(r.Signature),
		MinerKey:       bytes.Clone(key),
		MeteredUS:      min(s.ComputeUS, operatorUS, j.Order.ExecutionLimitUS),
		OperatorUS:     operatorUS,
		FinishReason:   r.FinishReason,
		GPUUtilization: r.GPUUtilization,
		At:             now,
	}, nil
}

// workedUntil gives until when a miner can have worked: not longer than until it was told to stop.
func workedUntil(now time.Time, j job.Job) time.Time {
	if j.StopBy.IsZero() {
		return now
	}
	if stopped := j.StopBy.Add(-job.StopGrace); stopped.Before(now) {
		return stopped
	}
	return now
}

// checkForm holds a result to the form that its job's type has: who reads it relies on that.
func checkForm(kind, result string) error {
	var err error
	switch kind {
	case aitbc.TypeChat:
		_, err = aitbc.ParseAnswer(result)
	case aitbc.TypeEmbedding:
		_, err = aitbc.ParseVectors(result)
	}
	if err != nil {
		return rejected("it is no answer of the type %s: %s", kind, err)
	}
	return nil
}

// mayStop reports whether a miner may end an attempt early and be paid for what it did: it was
// told to, or it reached the limit that the client set. Two clocks differ by far less than the
// hundredth that is allowed for.
func mayStop(j job.Job, operatorUS int64) bool {
	if !j.StopBy.IsZero() {
		return true
	}
	return j.ClientLimit && operatorUS >= j.Order.ExecutionLimitUS-j.Order.ExecutionLimitUS/100
}

// sign makes the signature of a lease.
func (d *Dispatcher) sign(l aitbc.Lease) []byte { return aitbc.Sign(d.deps.Operator, l.SigningBytes()) }

// leaseStep gives the step that hands a job to a miner, for the lease as it will be: signing takes
// longer than anything else in a commit, so it is done before.
func (d *Dispatcher) leaseStep(now time.Time, j job.Job, miner aitbc.AccountID, digest aitbc.Hash) func(job.Job) (job.Job, job.Message, error) {
	lease := func(j job.Job) (job.Job, job.Message, error) {
		if j.SubmittedAt.Before(d.began) {
			j = j.InGeneration(job.Generation(d.began))
		}
		return j.LeasedTo(now, miner, digest)
	}
	draft, _, err := lease(j)
	if err != nil {
		return func(j job.Job) (job.Job, job.Message, error) { return j, job.None, err }
	}
	expected, signature := draft.Lease(), d.sign(draft.Lease())
	return func(j job.Job) (job.Job, job.Message, error) {
		next, owed, err := lease(j)
		if err == nil && next.Lease() != expected {
			err = fmt.Errorf("lease job %s: %w", j.ID, job.ErrWrongState)
		}
		next.LeaseSignature = signature
		return next, owed, err
	}
}
