-- The coordinator's tables. Instants are Unix microseconds in UTC, durations microseconds, money
-- uaitbc, ids and hashes their raw bytes; NULL is "none". The CHECKs repeat what package job
-- guarantees, so that a fault there cannot become a wrong payment.

-- What was ordered. Written once.
CREATE TABLE orders (
  job_id             BLOB    NOT NULL PRIMARY KEY CHECK (length(job_id) = 16),
  chain_id           TEXT    NOT NULL,
  client             BLOB    NOT NULL CHECK (length(client) = 20),
  operator           BLOB    NOT NULL CHECK (length(operator) = 20),
  payload_commitment BLOB    NOT NULL CHECK (length(payload_commitment) = 32),
  price_uaitbc       INTEGER NOT NULL CHECK (price_uaitbc >= 0),
  max_price_uaitbc   INTEGER NOT NULL CHECK (max_price_uaitbc >= 0),
  execution_limit_us INTEGER NOT NULL CHECK (execution_limit_us >= 0),
  settle_by_us       INTEGER NOT NULL,
  expires_us         INTEGER NOT NULL,
  order_signature    BLOB,
  client_key         BLOB,
  salt               BLOB    NOT NULL CHECK (length(salt) = 32),
  type               TEXT    NOT NULL,
  model              TEXT    NOT NULL,
  pinned_digest      BLOB    CHECK (length(pinned_digest) = 32),
  queue_timeout_us   INTEGER NOT NULL,
  total_timeout_us   INTEGER NOT NULL,
  client_limit       INTEGER NOT NULL CHECK (client_limit IN (0, 1)),
  max_attempts       INTEGER NOT NULL,
  submitted_us       INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_of_client ON orders (client, job_id);

-- Where each job is: the narrow table that every step writes.
CREATE TABLE jobs (
  id              BLOB    NOT NULL PRIMARY KEY REFERENCES orders (job_id),
  client          BLOB    NOT NULL,
  phase           TEXT    NOT NULL
                  CHECK (phase IN ('escrowing', 'queued', 'leased', 'running', 'unknown', 'settling', 'done')),
  outcome         TEXT    NOT NULL CHECK (outcome IN ('', 'completed', 'failed', 'cancelled')),
  -- Derived, for lists and counters.
  status          TEXT    NOT NULL,
  failure_reason  INTEGER NOT NULL,
  failure_message TEXT    NOT NULL,
  attempt         INTEGER NOT NULL CHECK (attempt >= 0),
  miner           BLOB    CHECK (length(miner) = 20),
  model_digest    BLOB    CHECK (length(model_digest) = 32),
  lease_issued_us INTEGER NOT NULL,
  lease_signature BLOB,
  -- Account ids of 20 bytes, one behind the other.
  excluded        BLOB    CHECK (length(excluded) % 20 = 0),
  queued_us       INTEGER,
  leased_us       INTEGER,
  started_us      INTEGER,
  stop_by_us      INTEGER,
  completed_us    INTEGER,
  escrow_tx       BLOB    CHECK (length(escrow_tx) = 32),
  -- Whether there is a row in completions, in settlements.
  accepted        INTEGER NOT NULL CHECK (accepted IN (0, 1)),
  settled         INTEGER NOT NULL CHECK (settled IN (0, 1)),

  CONSTRAINT status_is_derived CHECK (status = CASE
    WHEN phase = 'done' THEN outcome
    WHEN phase IN ('running', 'unknown') OR (phase = 'settling' AND started_us IS NOT NULL) THEN 'running'
    ELSE 'pending' END),
  CONSTRAINT outcome_fits_phase CHECK (CASE
    WHEN phase = 'queued' THEN outcome = ''
    WHEN phase IN ('settling', 'done') THEN outcome <> ''
    ELSE outcome IN ('', 'cancelled') END),
  CONSTRAINT failure_fits_outcome CHECK (CASE
    WHEN outcome IN ('failed', 'cancelled') THEN failure_reason <> 0
    ELSE failure_reason = 0 OR phase = 'queued' END),
  CONSTRAINT attempt_fits_phase CHECK (CASE
    WHEN phase = 'escrowing' THEN attempt = 0
    WHEN phase IN ('leased', 'running', 'unknown') OR accepted
      THEN attempt > 0 AND miner IS NOT NULL AND leased_us IS NOT NULL
    ELSE 1 END),
  CONSTRAINT stopping_only_with_a_lease CHECK (
    (stop_by_us IS NOT NULL) = (outcome = 'cancelled' AND phase IN ('leased', 'running', 'unknown'))),
  CONSTRAINT accepted_is_past_running CHECK (NOT accepted OR phase IN ('settling', 'done')),
  CONSTRAINT refund_while_settling CHECK (phase <> 'settling' OR accepted OR outcome <> 'completed'),
  CONSTRAINT settled_is_done CHECK (NOT settled OR phase = 'done'),
  CONSTRAINT completed_is_settled CHECK (phase <> 'done' OR outcome <> 'completed' OR settled),
  CONSTRAINT done_has_its_time CHECK ((phase = 'done') = (completed_us IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_live ON jobs (id) WHERE phase <> 'done';
CREATE INDEX jobs_of_client ON jobs (client, status, id);

CREATE TRIGGER jobs_go_forward BEFORE UPDATE ON jobs
WHEN (OLD.phase = 'done' AND NEW.phase <> 'done')
  OR (OLD.phase = 'done' AND NEW.outcome <> OLD.outcome)
  OR NEW.attempt NOT IN (OLD.attempt, OLD.attempt + 1)
  OR NEW.accepted < OLD.accepted
  OR NEW.settled < OLD.settled
BEGIN
  SELECT RAISE(ABORT, 'jobs never go back: done is final, attempts only count up');
END;

-- How many jobs have each status: metrics must not scan history.
CREATE TABLE job_counts (
  status TEXT    NOT NULL PRIMARY KEY,
  jobs   INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO job_counts (status, jobs)
VALUES ('pending', 0), ('running', 0), ('completed', 0), ('failed', 0), ('cancelled', 0);

CREATE TRIGGER jobs_count_new AFTER INSERT ON jobs
BEGIN
  UPDATE job_counts SET jobs = jobs + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER jobs_count_moved AFTER UPDATE ON jobs
WHEN OLD.status <> NEW.status
BEGIN
  UPDATE job_counts SET jobs = jobs - 1 WHERE status = OLD.status;
  UPDATE job_counts SET jobs = jobs + 1 WHERE status = NEW.status;
END;

-- The large parts. They keep their row ids: rows this long would bloat the inner nodes of a table
-- without them.
CREATE TABLE payloads (
  job_id  BLOB NOT NULL PRIMARY KEY REFERENCES orders (job_id),
  prompt  TEXT NOT NULL,
  -- JSON. Never queried and never part of a decision here: it is handed on as it came.
  options TEXT NOT NULL
) STRICT;

CREATE TABLE results (
  job_id BLOB NOT NULL PRIMARY KEY REFERENCES jobs (id),
  -- Bytes, not text: what was hashed and signed comes back as it was.
  result BLOB NOT NULL
) STRICT;

-- The statement of each accepted result. Written once.
CREATE TABLE completions (
  job_id               BLOB    NOT NULL PRIMARY KEY REFERENCES jobs (id),
  result_hash          BLOB    NOT NULL CHECK (length(result_hash) = 32),
  -- The signing bytes, as the miner signed them: this is evidence.
  statement            BLOB    NOT NULL,
  signature            BLOB    NOT NULL,
  miner_key            BLOB    NOT NULL,
  metered_us           INTEGER NOT NULL,
  operator_us          INTEGER NOT NULL,
  acceptance_signature BLOB    NOT NULL,
  gpu_utilization      REAL,
  accepted_us          INTEGER NOT NULL,
  CONSTRAINT metered_by_our_clock_at_most CHECK (metered_us BETWEEN 0 AND operator_us)
) STRICT, WITHOUT ROWID;

-- How the ledger ended each escrow. Written once.
CREATE TABLE settlements (
  job_id             BLOB    NOT NULL PRIMARY KEY REFERENCES jobs (id),
  escrowed_uaitbc    INTEGER NOT NULL,
  paid_uaitbc        INTEGER NOT NULL CHECK (paid_uaitbc >= 0),
  refunded_uaitbc    INTEGER NOT NULL CHECK (refunded_uaitbc >= 0),
  -- NULL: a refund whose block the ledger's history no longer has.
  height             INTEGER CHECK (height > 0),
  block_us           INTEGER,
  tx_hash            BLOB    CHECK (length(tx_hash) = 32),
  refund_final_us    INTEGER,
  has_receipt        INTEGER NOT NULL CHECK (has_receipt IN (0, 1)),
  CONSTRAINT every_unit_went_somewhere CHECK (paid_uaitbc + refunded_uaitbc = escrowed_uaitbc),
  CONSTRAINT only_a_receipt_pays CHECK (has_receipt OR paid_uaitbc = 0),
  CONSTRAINT a_receipt_has_its_block CHECK (NOT has_receipt OR height IS NOT NULL)
) STRICT, WITHOUT ROWID;

-- What the ledger is owed. AUTOINCREMENT, because readers resume behind the last number they saw.
CREATE TABLE outbox (
  seq    INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id BLOB NOT NULL REFERENCES jobs (id),
  kind   TEXT NOT NULL CHECK (kind IN ('submit_job', 'record_receipt', 'refund_job')),
  UNIQUE (job_id, kind)
) STRICT;

-- Idempotency keys.
CREATE TABLE requests (
  client     BLOB    NOT NULL CHECK (length(client) = 20),
  request_id TEXT    NOT NULL,
  hash       BLOB    NOT NULL CHECK (length(hash) = 32),
  job_id     BLOB    NOT NULL REFERENCES jobs (id),
  expires_us INTEGER NOT NULL,
  PRIMARY KEY (client, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_by_expiry ON requests (expires_us);

CREATE TABLE api_keys (
  hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  id         TEXT    NOT NULL UNIQUE,
  name       TEXT    NOT NULL,
  scope      TEXT    NOT NULL CHECK (scope IN ('client', 'miner', 'admin')),
  account    BLOB    CHECK (length(account) = 20),
  created_us INTEGER NOT NULL,
  expires_us INTEGER,
  revoked_us INTEGER
) STRICT;

CREATE TABLE account_keys (
  account BLOB NOT NULL PRIMARY KEY CHECK (length(account) = 20),
  sealed  BLOB NOT NULL
) STRICT;
