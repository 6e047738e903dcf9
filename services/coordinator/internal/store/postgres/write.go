package postgres

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Each statement takes its rows as one array of composites, or as one array per column where those
// are few, so that its cost is shared by all of them.

type (
	pgUUID = pgtype.UUID
	pgInt  = pgtype.Int8
)

// change is a job to write.
type change struct {
	id aitbc.JobID
	*entry
}

func (c change) uuid() pgUUID { return uuid(c.id) }

// version is that of the row to replace.
func (c change) version() int64 { return c.in.version }

const (
	insertOrders = `
	INSERT INTO orders (
		job_id, chain_id, client, operator, payload_commitment, price_uaitbc, max_price_uaitbc,
		execution_limit_us, settle_by_us, expires_us, order_signature, client_key, salt, type,
		model, pinned_digest, queue_timeout_us, total_timeout_us, client_limit, max_attempts, submitted_us, budget, priority)
	SELECT n.* FROM unnest($1::order_row_3[]) AS n
	ON CONFLICT (job_id) DO NOTHING
	RETURNING job_id`

	insertPayloads = `
	INSERT INTO payloads (job_id, prompt, options) SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[])`

	insertLive = `
	INSERT INTO live_jobs (
		id, client, version, phase, outcome, status, failure_reason, failure_message, attempt, miner, model_digest,
		lease_issued_us, lease_signature, excluded, queued_us, leased_us, started_us, stop_by_us, escrow_tx, accepted,
		shard, model, due_us, priority)
	SELECT n.* FROM unnest($1::live_row_3[]) AS n`

	updateLive = `
	UPDATE live_jobs l SET
		version = n.version, phase = n.phase, outcome = n.outcome, status = n.status, failure_reason = n.failure_reason,
		failure_message = n.failure_message, attempt = n.attempt, miner = n.miner, model_digest = n.model_digest,
		lease_issued_us = n.lease_issued_us, lease_signature = n.lease_signature, excluded = n.excluded, queued_us = n.queued_us,
		leased_us = n.leased_us, started_us = n.started_us, stop_by_us = n.stop_by_us, escrow_tx = n.escrow_tx, accepted = n.accepted,
		shard = n.shard, due_us = n.due_us
	FROM unnest($1::live_row_3[]) AS n
	WHERE l.id = n.id AND l.version = n.version - 1
	RETURNING l.id`

	deleteLive = `
	DELETE FROM live_jobs l USING unnest($1::uuid[], $2::bigint[]) AS n (id, version)
	WHERE l.id = n.id AND l.version = n.version
	RETURNING l.id`

	confirmJobs = `
	SELECT l.id FROM unnest($1::uuid[], $2::bigint[]) AS n (id, version) JOIN live_jobs l ON l.id = n.id AND l.version = n.version`

	insertDone = `
	INSERT INTO done_jobs (
		id, client, status, failure_reason, failure_message, attempt, miner, model_digest,
		lease_issued_us, lease_signature, excluded, queued_us, leased_us, started_us, completed_us, escrow_tx, accepted,
		escrowed_uaitbc, paid_uaitbc, refunded_uaitbc, height, block_us, tx_hash, refund_final_us, has_receipt, shard)
	SELECT n.* FROM unnest($1::done_row_2[]) AS n`

	insertCompletions = `
	INSERT INTO completions (
		job_id, result_hash, statement, signature, miner_key, metered_us, operator_us, acceptance_signature,
		gpu_utilization, accepted_us, finish_reason)
	SELECT n.* FROM unnest($1::completion_row_2[]) AS n`

	insertResults = `
	INSERT INTO results (job_id, result) SELECT * FROM unnest($1::uuid[], $2::bytea[])
	ON CONFLICT (job_id) DO NOTHING
	RETURNING job_id`

	addCounts = `
	INSERT INTO job_counts AS c (shard, status, jobs) SELECT $1, n.status, n.jobs FROM unnest($2::text[], $3::bigint[]) AS n (status, jobs)
	ON CONFLICT (shard, status) DO UPDATE SET jobs = c.jobs + excluded.jobs`

	deleteOwed = `
	DELETE FROM outbox o USING unnest($1::uuid[], $2::text[]) AS n (job_id, kind) WHERE o.job_id = n.job_id AND o.kind = n.kind`

	insertOwed = `
	INSERT INTO outbox (job_id, kind)
	SELECT n.job_id, n.kind FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS n (job_id, kind, place) ORDER BY n.place
	ON CONFLICT (job_id, kind) DO NOTHING`

	presentRequests = `
	SELECT r.client, r.request_id
	FROM unnest($1::bytea[], $2::bytea[]) AS n (client, request_id)
		JOIN requests r ON r.client = n.client AND r.request_id = n.request_id`

	// What another replica is forgetting needs no waiting for.
	forgetRequests = `
	DELETE FROM requests r USING (
		SELECT client, request_id FROM requests WHERE expires_us <= $1 ORDER BY expires_us LIMIT $2 FOR UPDATE SKIP LOCKED) AS old
	WHERE r.client = old.client AND r.request_id = old.request_id`

	deleteRequests = `
	DELETE FROM requests r USING unnest($1::bytea[], $2::bytea[], $3::uuid[]) AS n (client, request_id, job_id)
	WHERE r.client = n.client AND r.request_id = n.request_id AND r.job_id = n.job_id`

	insertRequests = `
	INSERT INTO requests (client, request_id, hash, job_id, expires_us)
	SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::uuid[], $5::bigint[])
	ON CONFLICT (client, request_id) DO NOTHING
	RETURNING client, request_id`
)

func payloadArrays(changes []change) []any {
	return []any{
		each(changes, change.uuid),
		each(changes, func(c change) []byte { return c.payload.prompt }),
		each(changes, func(c change) []byte { return c.payload.options }),
	}
}

func orderRows(changes []change) *rows {
	var r rows
	for _, c := range changes {
		j, o := &c.job, &c.job.Order
		r.begin(23)
		r.uuid(j.ID)
		r.bytes([]byte(o.ChainID))
		r.bytes(o.Client[:])
		r.bytes(o.Operator[:])
		r.bytes(o.PayloadCommitment[:])
		r.int(int64(o.Price))
		r.int(int64(o.MaxPrice))
		r.int(o.ExecutionLimitUS)
		r.int(o.SettleByUS)
		r.int(o.ExpiresUS)
		r.bytesOrNull(j.OrderSignature)
		r.bytesOrNull(j.ClientKey)
		r.bytes(j.Salt[:])
		r.bytes([]byte(j.Type))
		r.bytes([]byte(j.Model))
		r.bytesOrNull(optional(j.PinnedDigest[:]))
		r.int(j.QueueTimeout.Microseconds())
		r.int(j.TotalTimeout.Microseconds())
		r.bool(j.ClientLimit)
		r.int(int64(j.MaxAttempts))
		r.instant(j.SubmittedAt)
		r.bytes([]byte(j.Budget))
		r.int(int64(j.Priority))
		r.end()
	}
	return &r
}

// liveRows has each job under its next version.
func liveRows(changes []change) *rows {
	var r rows
	for _, c := range changes {
		j := &c.job
		r.begin(24)
		r.uuid(j.ID)
		r.bytes(j.Order.Client[:])
		r.int(c.in.version + 1)
		r.text(string(j.Phase))
		r.text(string(j.Outcome))
		r.text(string(j.Status()))
		r.int(int64(j.Failure.Reason))
		r.bytes([]byte(j.Failure.Message))
		r.lease(j)
		r.instant(j.QueuedAt)
		r.instant(j.LeasedAt)
		r.instant(j.StartedAt)
		r.instant(j.StopBy)
		r.bytesOrNull(optional(j.EscrowTx[:]))
		r.bool(j.Completion != nil)
		r.int(int64(j.Shard))
		r.bytes([]byte(j.Model))
		r.instant(j.WaitsUntil())
		r.int(int64(j.Priority))
		r.end()
	}
	return &r
}

// lease appends the columns from attempt to excluded.
func (r *rows) lease(j *job.Job) {
	r.int(int64(j.Attempt))
	r.bytesOrNull(optional(j.Miner[:]))
	r.bytesOrNull(optional(j.ModelDigest[:]))
	r.int(j.LeaseIssuedUS)
	r.bytesOrNull(j.LeaseSignature)
	r.bytesOrNull(joinAccounts(j.Excluded))
}

func doneRows(changes []change) *rows {
	var r rows
	for _, c := range changes {
		j := &c.job
		r.begin(26)
		r.uuid(j.ID)
		r.bytes(j.Order.Client[:])
		r.text(string(j.Outcome))
		r.int(int64(j.Failure.Reason))
		r.bytes([]byte(j.Failure.Message))
		r.lease(j)
		r.instant(j.QueuedAt)
		r.instant(j.LeasedAt)
		r.instant(j.StartedAt)
		r.instant(j.CompletedAt)
		r.bytesOrNull(optional(j.EscrowTx[:]))
		r.bool(j.Completion != nil)
		r.settlement(j)
		r.int(int64(j.Shard))
		r.end()
	}
	return &r
}

// settlement appends the columns from escrowed_uaitbc.
func (r *rows) settlement(j *job.Job) {
	s := j.Settlement
	if s == nil {
		for range 5 {
			r.null(pgtype.Int8OID)
		}
		r.null(pgtype.ByteaOID)
		r.null(pgtype.Int8OID)
		r.null(pgtype.BoolOID)
		return
	}
	r.int(int64(j.Order.MaxPrice))
	r.int(int64(s.Paid))
	r.int(int64(s.Refunded))
	if s.Height == 0 {
		r.null(pgtype.Int8OID)
	} else {
		r.int(s.Height)
	}
	r.instant(s.BlockTime)
	r.bytesOrNull(optional(s.TxHash[:]))
	r.instant(s.RefundFinalAt)
	r.bool(s.HasReceipt)
}

func completionRows(changes []change) *rows {
	var r rows
	for _, c := range changes {
		done := c.job.Completion
		r.begin(11)
		r.uuid(c.id)
		r.bytes(done.ResultHash[:])
		r.bytes(done.Statement.SigningBytes())
		r.bytes(done.Signature)
		r.bytes(done.MinerKey)
		r.int(done.MeteredUS)
		r.int(done.OperatorUS)
		r.bytes(done.AcceptanceSignature)
		if done.GPUUtilization == nil {
			r.null(pgtype.Float8OID)
		} else {
			r.float(*done.GPUUtilization)
		}
		r.int(done.At.UnixMicro())
		r.bytes([]byte(done.FinishReason))
		r.end()
	}
	return &r
}

func (m message) uuid() pgUUID { return uuid(m.job) }
func (m message) word() string { return string(m.kind) }

func (k requestKey) clientBytes() []byte { return k.client[:] }
func (k requestKey) idBytes() []byte     { return []byte(k.id) }

// absent is the belief that the key stands for nothing.
func (k requestKey) absent() belief {
	return belief{about: requestAbsent, client: k.client, requestID: k.id}
}

// eachKey calls visit with the keys that a statement answers.
func eachKey(rows pgx.Rows, visit func(requestKey)) error {
	for rows.Next() {
		var key requestKey
		if err := rows.Scan(toFixed(key.client[:]), toText(&key.id)); err != nil {
			return err
		}
		visit(key)
	}
	return rows.Err()
}

func (t *tx) requestArrays(keys []requestKey) []any {
	return []any{
		each(keys, requestKey.clientBytes),
		each(keys, requestKey.idBytes),
		each(keys, func(k requestKey) []byte { return t.requests[k].now.Hash[:] }),
		each(keys, func(k requestKey) pgUUID { return uuid(t.requests[k].now.JobID) }),
		each(keys, func(k requestKey) pgInt { return instant(t.requests[k].now.ExpiresAt) }),
	}
}
