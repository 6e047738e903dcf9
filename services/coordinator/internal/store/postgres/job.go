package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// A job lies in up to three tables: orders (what never changes), live_jobs or done_jobs (where it
// is), and completions, once there is one.

// jobColumns are what jobRow.targets scans, in its order: of orders o, a state j and completions c.
const jobColumns = `
	o.job_id, o.chain_id, o.client, o.operator, o.payload_commitment, o.price_uaitbc, o.max_price_uaitbc,
	o.execution_limit_us, o.settle_by_us, o.expires_us, o.order_signature, o.client_key, o.salt, o.type,
	o.model, o.pinned_digest, o.queue_timeout_us, o.total_timeout_us, o.client_limit, o.max_attempts, o.submitted_us, o.budget, o.priority,
	j.version, j.shard, j.phase, j.outcome, j.failure_reason, j.failure_message, j.attempt, j.miner, j.model_digest,
	j.lease_issued_us, j.lease_signature, j.excluded, j.queued_us, j.leased_us, j.started_us, j.stop_by_us,
	j.completed_us, j.escrow_tx, j.accepted,
	j.paid_uaitbc, j.refunded_uaitbc, j.height, j.block_us, j.tx_hash, j.refund_final_us, j.has_receipt,
	c.result_hash, c.statement, c.signature, c.miner_key, c.metered_us, c.operator_us, c.acceptance_signature,
	c.gpu_utilization, c.accepted_us, c.finish_reason`

// The states that a job may be in, in the same columns. Domains are cast to what they stand for: only
// states of the same types can be read by an index through their union.
const (
	liveColumns = `SELECT l.id, l.client, l.version, l.shard, l.phase::text, l.outcome::text, l.status, l.failure_reason, l.failure_message,
		l.attempt::bigint, l.miner::bytea, l.model_digest::bytea, l.lease_issued_us, l.lease_signature, l.excluded::bytea, l.queued_us,
		l.leased_us, l.started_us, l.stop_by_us, NULL::bigint AS completed_us, l.escrow_tx::bytea, l.accepted,
		NULL::bigint AS paid_uaitbc, NULL::bigint AS refunded_uaitbc, NULL::bigint AS height, NULL::bigint AS block_us,
		NULL::bytea AS tx_hash, NULL::bigint AS refund_final_us, NULL::boolean AS has_receipt`
	liveState = `(` + liveColumns + ` FROM live_jobs l)`
	// lineState also has what places a job in a line of waiting ones.
	lineState = `(` + liveColumns + `, l.model AS line_model, l.priority, l.due_us FROM live_jobs l)`
	doneState = `(SELECT d.id, d.client, 0::bigint AS version, d.shard, 'done'::text AS phase, d.status::text AS outcome, d.status::text,
		d.failure_reason, d.failure_message, d.attempt::bigint, d.miner::bytea, d.model_digest::bytea, d.lease_issued_us,
		d.lease_signature, d.excluded::bytea, d.queued_us, d.leased_us, d.started_us, NULL::bigint AS stop_by_us, d.completed_us,
		d.escrow_tx::bytea, d.accepted, d.paid_uaitbc::bigint, d.refunded_uaitbc::bigint, d.height, d.block_us, d.tx_hash::bytea,
		d.refund_final_us, d.has_receipt
		FROM done_jobs d)`
	anyState = `(` + liveState + ` UNION ALL ` + doneState + `)`
)

// jobRow is a job as it is stored.
type jobRow struct {
	job      job.Job
	version  int64
	excluded []byte
	accepted bool

	completion             job.Completion
	statement              []byte
	meteredUS, operatorUS  pgtype.Int8
	settlement             job.Settlement
	paid, refunded, height pgtype.Int8
	hasReceipt             pgtype.Bool
}

func (r *jobRow) targets() []any {
	j, c, s := &r.job, &r.completion, &r.settlement
	return []any{
		(*[16]byte)(&j.ID), toText(&j.Order.ChainID), toFixed(j.Order.Client[:]), toFixed(j.Order.Operator[:]),
		toFixed(j.Order.PayloadCommitment[:]), (*int64)(&j.Order.Price), (*int64)(&j.Order.MaxPrice),
		&j.Order.ExecutionLimitUS, &j.Order.SettleByUS, &j.Order.ExpiresUS, toOctets(&j.OrderSignature), toOctets(&j.ClientKey),
		toFixed(j.Salt[:]), toText(&j.Type),
		toText(&j.Model), toFixed(j.PinnedDigest[:]), toSpan(&j.QueueTimeout), toSpan(&j.TotalTimeout), &j.ClientLimit,
		&j.MaxAttempts, toInstant(&j.SubmittedAt), toText(&j.Budget), (*int8)(&j.Priority),
		&r.version, &j.Shard, (*string)(&j.Phase), (*string)(&j.Outcome), (*int32)(&j.Failure.Reason), toText(&j.Failure.Message), &j.Attempt,
		toFixed(j.Miner[:]), toFixed(j.ModelDigest[:]),
		&j.LeaseIssuedUS, toOctets(&j.LeaseSignature), toOctets(&r.excluded), toInstant(&j.QueuedAt), toInstant(&j.LeasedAt),
		toInstant(&j.StartedAt), toInstant(&j.StopBy),
		toInstant(&j.CompletedAt), toFixed(j.EscrowTx[:]), &r.accepted,
		&r.paid, &r.refunded, &r.height, toInstant(&s.BlockTime), toFixed(s.TxHash[:]), toInstant(&s.RefundFinalAt), &r.hasReceipt,
		toFixed(c.ResultHash[:]), toOctets(&r.statement), toOctets(&c.Signature), toOctets(&c.MinerKey), &r.meteredUS, &r.operatorUS,
		toOctets(&c.AcceptanceSignature), &c.GPUUtilization, toInstant(&c.At), toText(&c.FinishReason),
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
	if r.hasReceipt.Valid {
		s := r.settlement
		s.Paid, s.Refunded = aitbc.Amount(r.paid.Int64), aitbc.Amount(r.refunded.Int64)
		s.Height, s.HasReceipt = r.height.Int64, r.hasReceipt.Bool
		j.Settlement = &s
	}
	return j, nil
}

// scanJob scans jobColumns, after what leads them in the query.
func scanJob(row pgx.Row, leading ...any) (version, error) {
	var r jobRow
	if err := row.Scan(append(leading, r.targets()...)...); err != nil {
		return version{}, err
	}
	j, err := r.value()
	return version{j, r.version}, err
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

// fits refuses what the tables have no column for.
func fits(j *job.Job) error {
	switch {
	case j.Phase == job.Done && !j.StopBy.IsZero():
		return fmt.Errorf("a job that is done is not being stopped")
	case j.Phase == job.Done && j.CompletedAt.IsZero():
		return fmt.Errorf("a job that is done has its time")
	case j.Phase != job.Done && (j.Settlement != nil || !j.CompletedAt.IsZero()):
		return fmt.Errorf("only a job that is done is settled and has its time")
	}
	return nil
}
