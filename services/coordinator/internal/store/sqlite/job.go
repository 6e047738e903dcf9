package sqlite

import (
	"database/sql"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// A job lies in four tables: orders (what never changes), jobs (what every step changes), and,
// once they are there, completions and settlements.

// jobColumns are what jobRow.targets scans, in its order.
const jobColumns = `
	o.job_id, o.chain_id, o.client, o.operator, o.payload_commitment, o.price_uaitbc, o.max_price_uaitbc,
	o.execution_limit_us, o.settle_by_us, o.expires_us, o.order_signature, o.client_key, o.salt, o.type,
	o.model, o.pinned_digest, o.queue_timeout_us, o.total_timeout_us, o.client_limit, o.max_attempts, o.submitted_us, o.budget, o.priority,
	j.shard, j.phase, j.outcome, j.failure_reason, j.failure_message, j.attempt, j.miner, j.model_digest,
	j.lease_issued_us, j.lease_signature, j.excluded, j.queued_us, j.leased_us, j.started_us, j.stop_by_us,
	j.completed_us, j.escrow_tx, j.accepted, j.settled,
	c.result_hash, c.statement, c.signature, c.miner_key, c.metered_us, c.operator_us, c.acceptance_signature,
	c.gpu_utilization, c.accepted_us, coalesce(c.finish_reason, ''),
	s.paid_uaitbc, s.refunded_uaitbc, s.height, s.block_us, s.tx_hash, s.refund_final_us, s.has_receipt`

// jobParts joins the rest of a job to its row in jobs, j, and in orders, o.
const jobParts = `
	LEFT JOIN completions c ON c.job_id = j.id
	LEFT JOIN settlements s ON s.job_id = j.id`

// jobRow is a job as it is stored.
type jobRow struct {
	job      job.Job
	excluded []byte
	accepted bool
	settled  bool

	completion             job.Completion
	statement              []byte
	meteredUS, operatorUS  sql.NullInt64
	settlement             job.Settlement
	paid, refunded, height sql.NullInt64
	hasReceipt             sql.NullBool
}

func (r *jobRow) targets() []any {
	j, c, s := &r.job, &r.completion, &r.settlement
	return []any{
		toFixed(j.ID[:]), &j.Order.ChainID, toFixed(j.Order.Client[:]), toFixed(j.Order.Operator[:]),
		toFixed(j.Order.PayloadCommitment[:]), &j.Order.Price, &j.Order.MaxPrice,
		&j.Order.ExecutionLimitUS, &j.Order.SettleByUS, &j.Order.ExpiresUS, &j.OrderSignature, &j.ClientKey,
		toFixed(j.Salt[:]), &j.Type,
		&j.Model, toFixed(j.PinnedDigest[:]), toSpan(&j.QueueTimeout), toSpan(&j.TotalTimeout), &j.ClientLimit,
		&j.MaxAttempts, toInstant(&j.SubmittedAt), &j.Budget, &j.Priority,
		&j.Shard, &j.Phase, &j.Outcome, &j.Failure.Reason, &j.Failure.Message, &j.Attempt, toFixed(j.Miner[:]), toFixed(j.ModelDigest[:]),
		&j.LeaseIssuedUS, &j.LeaseSignature, &r.excluded, toInstant(&j.QueuedAt), toInstant(&j.LeasedAt),
		toInstant(&j.StartedAt), toInstant(&j.StopBy),
		toInstant(&j.CompletedAt), toFixed(j.EscrowTx[:]), &r.accepted, &r.settled,
		toFixed(c.ResultHash[:]), &r.statement, &c.Signature, &c.MinerKey, &r.meteredUS, &r.operatorUS, &c.AcceptanceSignature,
		&c.GPUUtilization, toInstant(&c.At), &c.FinishReason,
		&r.paid, &r.refunded, &r.height, toInstant(&s.BlockTime), toFixed(s.TxHash[:]), toInstant(&s.RefundFinalAt), &r.hasReceipt,
	}
}

// value gives the job of a scanned row.
func (r *jobRow) value() (job.Job, error) {
	j := r.job
	j.Order.JobID = j.ID
	var err error
	if j.Excluded, err = splitAccounts(r.excluded); err != nil {
		return job.Job{}, fmt.Errorf("read job %s: %w", j.ID, err)
	}
	if r.accepted {
		c := r.completion
		if c.Statement, err = aitbc.ParseAnyStatement(r.statement); err != nil {
			return job.Job{}, fmt.Errorf("read job %s: %w", j.ID, err)
		}
		c.MeteredUS, c.OperatorUS = r.meteredUS.Int64, r.operatorUS.Int64
		j.Completion = &c
	}
	if r.settled {
		s := r.settlement
		s.Paid, s.Refunded = aitbc.Amount(r.paid.Int64), aitbc.Amount(r.refunded.Int64)
		s.Height, s.HasReceipt = r.height.Int64, r.hasReceipt.Bool
		j.Settlement = &s
	}
	return j, nil
}

func joinAccounts(accounts []aitbc.AccountID) []byte {
	var b []byte
	for _, a := range accounts {
		b = append(b, a[:]...)
	}
	return b
}

func splitAccounts(b []byte) ([]aitbc.AccountID, error) {
	const size = len(aitbc.AccountID{})
	if len(b)%size != 0 {
		return nil, fmt.Errorf("a list of accounts has %d bytes", len(b))
	}
	var accounts []aitbc.AccountID
	for ; len(b) > 0; b = b[size:] {
		accounts = append(accounts, aitbc.AccountID(b[:size]))
	}
	return accounts, nil
}

// scanner is a row or the current one of many.
type scanner interface{ Scan(dest ...any) error }

// scanJob scans jobColumns, after what leads them in the query.
func scanJob(row scanner, leading ...any) (job.Job, error) {
	var r jobRow
	if err := row.Scan(append(leading, r.targets()...)...); err != nil {
		return job.Job{}, err
	}
	return r.value()
}

const insertOrder = `
	INSERT INTO orders (
		job_id, chain_id, client, operator, payload_commitment, price_uaitbc, max_price_uaitbc,
		execution_limit_us, settle_by_us, expires_us, order_signature, client_key, salt, type,
		model, pinned_digest, queue_timeout_us, total_timeout_us, client_limit, max_attempts, submitted_us, budget, priority)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func orderValues(j *job.Job) []any {
	o := &j.Order
	return []any{
		j.ID[:], o.ChainID, o.Client[:], o.Operator[:], o.PayloadCommitment[:], int64(o.Price), int64(o.MaxPrice),
		o.ExecutionLimitUS, o.SettleByUS, o.ExpiresUS, octets(j.OrderSignature), octets(j.ClientKey), j.Salt[:], j.Type,
		j.Model, optional(j.PinnedDigest[:]), j.QueueTimeout.Microseconds(), j.TotalTimeout.Microseconds(),
		j.ClientLimit, int64(j.MaxAttempts), instant(j.SubmittedAt), j.Budget, int64(j.Priority),
	}
}

const insertJob = `
	INSERT INTO jobs (
		phase, outcome, status, failure_reason, failure_message, attempt, miner, model_digest,
		lease_issued_us, lease_signature, excluded, queued_us, leased_us, started_us, stop_by_us,
		completed_us, escrow_tx, accepted, settled, shard, due_us, id, client, model, priority)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

const updateJob = `
	UPDATE jobs SET
		phase = ?, outcome = ?, status = ?, failure_reason = ?, failure_message = ?, attempt = ?, miner = ?, model_digest = ?,
		lease_issued_us = ?, lease_signature = ?, excluded = ?, queued_us = ?, leased_us = ?, started_us = ?, stop_by_us = ?,
		completed_us = ?, escrow_tx = ?, accepted = ?, settled = ?, shard = ?, due_us = ?
	WHERE id = ?`

// stateValues are the columns of insertJob and updateJob up to due_us, and the id.
func stateValues(j *job.Job) []any {
	return []any{
		string(j.Phase), string(j.Outcome), string(j.Status()), int64(j.Failure.Reason), j.Failure.Message,
		int64(j.Attempt), optional(j.Miner[:]), optional(j.ModelDigest[:]),
		j.LeaseIssuedUS, octets(j.LeaseSignature), octets(joinAccounts(j.Excluded)),
		instant(j.QueuedAt), instant(j.LeasedAt), instant(j.StartedAt), instant(j.StopBy),
		instant(j.CompletedAt), optional(j.EscrowTx[:]), j.Completion != nil, j.Settlement != nil, int64(j.Shard), instant(j.WaitsUntil()), j.ID[:],
	}
}

const insertCompletion = `
	INSERT INTO completions (
		job_id, result_hash, statement, signature, miner_key, metered_us, operator_us, acceptance_signature,
		gpu_utilization, accepted_us, finish_reason)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (job_id) DO NOTHING`

func completionValues(id *aitbc.JobID, c *job.Completion) []any {
	var gpu any
	if c.GPUUtilization != nil {
		gpu = *c.GPUUtilization
	}
	return []any{
		id[:], c.ResultHash[:], c.Statement.SigningBytes(), notNull(c.Signature), notNull(c.MinerKey), c.MeteredUS, c.OperatorUS,
		notNull(c.AcceptanceSignature), gpu, required(c.At), c.FinishReason,
	}
}

const insertSettlement = `
	INSERT INTO settlements (
		job_id, escrowed_uaitbc, paid_uaitbc, refunded_uaitbc, height, block_us, tx_hash,
		refund_final_us, has_receipt)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (job_id) DO NOTHING`

func settlementValues(id *aitbc.JobID, escrowed aitbc.Amount, s *job.Settlement) []any {
	return []any{
		id[:], int64(escrowed), int64(s.Paid), int64(s.Refunded), positive(s.Height), instant(s.BlockTime), optional(s.TxHash[:]),
		instant(s.RefundFinalAt), s.HasReceipt,
	}
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func required(t time.Time) int64 { return t.UnixMicro() }
