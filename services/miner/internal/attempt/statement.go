package attempt

import (
	"errors"
	"fmt"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// sign makes the lease's one statement and has it on disk with the answer before it returns. A
// revocation that came before is obeyed: nothing is signed.
func (r *Runner) sign(x *run, out *outcome) error {
	r.mu.Lock()
	stop := x.stop
	r.mu.Unlock()
	if errors.Is(stop, errRevoked) {
		return errRevoked
	}
	j, answer := x.job, out.answer
	answer.Text = plantedAnswer(answer.Text)
	statement := j.statement(aitbc.ResultHash(answer.Text), out.engine)
	statement.ComputeUS = answer.Compute.Microseconds()
	statement.PromptTokens, statement.OutputTokens = answer.PromptTokens, answer.OutputTokens
	statement.Stopped = out.stopped
	body := statement.SigningBytes()
	result := &coordinatorv1.AttemptResult{
		LeaseId: j.id(),
		Result:  plantedBytes(answer.Text),
		Metrics: &coordinatorv1.JobMetrics{
			ComputeTime:     answer.Compute.Seconds(),
			PromptTokens:    int32(answer.PromptTokens),
			TokensGenerated: int32(answer.OutputTokens),
			FinishReason:    answer.FinishReason,
			GpuUtilization:  out.use,
		},
		StatementBody:      body,
		StatementSignature: aitbc.Sign(r.deps.Key, body),
	}
	if err := r.deps.Spool.Put(spool.Record{Lease: j.wire, Result: result}); err != nil {
		return &executor.Failure{Reason: executor.EngineError, Message: "the miner could not keep its result", Err: fmt.Errorf("sign: %w", err)}
	}
	out.signed = true
	return nil
}

// statement begins a statement about a result of the lease.
func (j job) statement(result aitbc.Hash, engine string) aitbc.Statement {
	return aitbc.Statement{
		ChainID:          j.lease.ChainID,
		JobID:            j.lease.JobID,
		Attempt:          j.lease.Attempt,
		LeaseHash:        j.lease.Hash(),
		ResultCommitment: aitbc.Commitment(j.salt, result),
		Model:            j.lease.Model,
		ModelDigest:      j.lease.ModelDigest,
		Engine:           engine,
	}
}
