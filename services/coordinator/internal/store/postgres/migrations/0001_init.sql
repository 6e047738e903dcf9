-- The coordinator's tables. Instants are Unix microseconds in UTC, durations microseconds, money
-- uaitbc; NULL is "none". Job ids are ULIDs, kept as uuid: the same 16 bytes in the same order.
-- Text that others wrote is bytea, because text cannot hold every string. The CHECKs repeat what
-- package job guarantees, so that a fault there cannot become a wrong payment.
--
-- There are no foreign keys: every write confirms the row it belongs to by the job's version, and a
-- foreign key would lock that row once more for each.

-- Rules about one value are domains: the server reads a domain's rule once for each connection, a
-- table's rules once for each statement.
CREATE DOMAIN account_id AS bytea CHECK (length(VALUE) = 20);
CREATE DOMAIN account_ids AS bytea CHECK (length(VALUE) % 20 = 0); -- one behind the other
CREATE DOMAIN sha256 AS bytea CHECK (length(VALUE) = 32);
CREATE DOMAIN unsigned AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN live_phase AS text CHECK (VALUE IN ('escrowing', 'queued', 'leased', 'running', 'unknown', 'settling'));
CREATE DOMAIN job_outcome AS text CHECK (VALUE IN ('', 'completed', 'failed', 'cancelled'));
CREATE DOMAIN terminal_status AS text CHECK (VALUE IN ('completed', 'failed', 'cancelled'));
CREATE DOMAIN ledger_message AS text CHECK (VALUE IN ('submit_job', 'record_receipt', 'refund_job'));

-- What was ordered. Written once.
CREATE TABLE orders (
  job_id             uuid       NOT NULL PRIMARY KEY,
  chain_id           bytea      NOT NULL,
  client             account_id NOT NULL,
  operator           account_id NOT NULL,
  payload_commitment sha256     NOT NULL,
  price_uaitbc       unsigned   NOT NULL,
  max_price_uaitbc   unsigned   NOT NULL,
  execution_limit_us unsigned   NOT NULL,
  settle_by_us       bigint     NOT NULL,
  expires_us         bigint     NOT NULL,
  order_signature    bytea,
  client_key         bytea,
  salt               sha256     NOT NULL,
  type               bytea      NOT NULL,
  model              bytea      NOT NULL,
  pinned_digest      sha256,
  queue_timeout_us   bigint     NOT NULL,
  total_timeout_us   bigint     NOT NULL,
  client_limit       boolean    NOT NULL,
  max_attempts       bigint     NOT NULL,
  submitted_us       bigint
);

CREATE INDEX orders_of_client ON orders (client, job_id);

-- Where each job is that is not done: the narrow table that every step writes. Half of each page is
-- kept free, so that a step that leaves the status alone touches no index.
CREATE TABLE live_jobs (
  id              uuid        NOT NULL PRIMARY KEY,
  client          bytea       NOT NULL,
  -- Counts the writes. A write names the version it replaces, so none is lost when several
  -- replicas write.
  version         bigint      NOT NULL,
  phase           live_phase  NOT NULL,
  outcome         job_outcome NOT NULL,
  -- Derived, for lists and counters.
  status          text        NOT NULL,
  failure_reason  bigint      NOT NULL,
  failure_message bytea       NOT NULL,
  attempt         unsigned    NOT NULL,
  miner           account_id,
  model_digest    sha256,
  lease_issued_us bigint      NOT NULL,
  lease_signature bytea,
  excluded        account_ids,
  queued_us       bigint,
  leased_us       bigint,
  started_us      bigint,
  stop_by_us      bigint,
  escrow_tx       sha256,
  -- Whether there is a row in completions.
  accepted        boolean     NOT NULL,

  CONSTRAINT status_is_derived CHECK (status = CASE
    WHEN phase IN ('running', 'unknown') OR (phase = 'settling' AND started_us IS NOT NULL) THEN 'running'
    ELSE 'pending' END),
  CONSTRAINT outcome_fits_phase CHECK (CASE
    WHEN phase = 'queued' THEN outcome = ''
    WHEN phase = 'settling' THEN outcome <> ''
    ELSE outcome IN ('', 'cancelled') END),
  CONSTRAINT failure_fits_outcome CHECK (CASE
    WHEN outcome IN ('failed', 'cancelled') THEN failure_reason <> 0
    ELSE failure_reason = 0 OR phase = 'queued' END),
  CONSTRAINT attempt_fits_phase CHECK (CASE
    WHEN phase = 'escrowing' THEN attempt = 0
    WHEN phase IN ('leased', 'running', 'unknown') OR accepted
      THEN attempt > 0 AND miner IS NOT NULL AND leased_us IS NOT NULL
    ELSE true END),
  CONSTRAINT stopping_only_with_a_lease CHECK (
    (stop_by_us IS NOT NULL) = (outcome = 'cancelled' AND phase IN ('leased', 'running', 'unknown'))),
  CONSTRAINT accepted_is_past_running CHECK (NOT accepted OR phase = 'settling'),
  CONSTRAINT refund_while_settling CHECK (phase <> 'settling' OR accepted OR outcome <> 'completed')
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

CREATE INDEX live_jobs_of_client ON live_jobs (client, status, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER live_jobs_go_forward BEFORE UPDATE ON live_jobs FOR EACH ROW
WHEN (NEW.attempt NOT IN (OLD.attempt, OLD.attempt + 1) OR NEW.accepted < OLD.accepted OR NEW.version <> OLD.version + 1)
EXECUTE FUNCTION refuse_change('jobs never go back: attempts and versions count up by one, what was accepted stays');

-- The jobs that are done, with how the ledger ended each escrow. A job moves here once and stays as
-- it is: what has happened does not slow what is to be done.
CREATE TABLE done_jobs (
  id              uuid            NOT NULL PRIMARY KEY,
  client          bytea           NOT NULL,
  -- The outcome.
  status          terminal_status NOT NULL,
  failure_reason  bigint          NOT NULL,
  failure_message bytea           NOT NULL,
  attempt         unsigned        NOT NULL,
  miner           account_id,
  model_digest    sha256,
  lease_issued_us bigint          NOT NULL,
  lease_signature bytea,
  excluded        account_ids,
  queued_us       bigint,
  leased_us       bigint,
  started_us      bigint,
  completed_us    bigint          NOT NULL,
  escrow_tx       sha256,
  accepted        boolean         NOT NULL,
  -- The settlement; all NULL when nothing was escrowed.
  escrowed_uaitbc bigint,
  paid_uaitbc     unsigned,
  refunded_uaitbc unsigned,
  -- NULL: a refund whose block the ledger's history no longer has.
  height          bigint          CHECK (height > 0),
  block_us        bigint,
  tx_hash         sha256,
  refund_final_us bigint,
  has_receipt     boolean,

  CONSTRAINT failure_fits_outcome CHECK ((status IN ('failed', 'cancelled')) = (failure_reason <> 0)),
  CONSTRAINT accepted_had_a_lease CHECK (NOT accepted OR (attempt > 0 AND miner IS NOT NULL AND leased_us IS NOT NULL)),
  CONSTRAINT settlement_is_whole CHECK (num_nonnulls(escrowed_uaitbc, paid_uaitbc, refunded_uaitbc, has_receipt) IN (0, 4)),
  CONSTRAINT completed_is_settled CHECK (status <> 'completed' OR has_receipt IS NOT NULL),
  CONSTRAINT every_unit_went_somewhere CHECK (paid_uaitbc + refunded_uaitbc = escrowed_uaitbc),
  CONSTRAINT only_a_receipt_pays CHECK (has_receipt OR paid_uaitbc = 0),
  CONSTRAINT a_receipt_has_its_block CHECK (NOT has_receipt OR height IS NOT NULL)
);

CREATE INDEX done_jobs_of_client ON done_jobs (client, status, id);

CREATE TRIGGER done_jobs_stay BEFORE UPDATE ON done_jobs FOR EACH ROW
EXECUTE FUNCTION refuse_change('a job that is done stays as it is');

-- How many jobs have each status: metrics must not scan history. Each replica adds to rows of a
-- shard it has drawn, so that replicas do not wait for each other's commits; a job may leave a
-- status in another shard than it entered it, so only the sum over the shards means something.
CREATE TABLE job_counts (
  shard  integer NOT NULL,
  status text    NOT NULL,
  jobs   bigint  NOT NULL,
  PRIMARY KEY (shard, status)
) WITH (fillfactor = 50);

-- The large parts. Written once, read by id.
CREATE TABLE payloads (
  job_id  uuid  NOT NULL PRIMARY KEY,
  prompt  bytea NOT NULL,
  -- JSON. Never queried and never part of a decision here: it is handed on as it came.
  options bytea NOT NULL
);

CREATE TABLE results (
  job_id uuid  NOT NULL PRIMARY KEY,
  result bytea NOT NULL
);

-- The statement of each accepted result. Written once.
CREATE TABLE completions (
  job_id               uuid   NOT NULL PRIMARY KEY,
  result_hash          sha256 NOT NULL,
  -- The signing bytes, as the miner signed them: this is evidence.
  statement            bytea  NOT NULL,
  signature            bytea  NOT NULL,
  miner_key            bytea  NOT NULL,
  metered_us           bigint NOT NULL,
  operator_us          bigint NOT NULL,
  acceptance_signature bytea  NOT NULL,
  gpu_utilization      double precision,
  accepted_us          bigint NOT NULL,
  CONSTRAINT metered_by_our_clock_at_most CHECK (metered_us BETWEEN 0 AND operator_us)
);

-- What the ledger is owed. Numbers rise in the order of one replica's commits; those of several
-- replicas may become visible out of order, so a reader looks again from the start now and then.
CREATE TABLE outbox (
  seq    bigint         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id uuid           NOT NULL,
  kind   ledger_message NOT NULL,
  UNIQUE (job_id, kind)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

-- Idempotency keys.
CREATE TABLE requests (
  client     account_id NOT NULL,
  request_id bytea      NOT NULL,
  hash       sha256     NOT NULL,
  job_id     uuid       NOT NULL,
  expires_us bigint     NOT NULL,
  PRIMARY KEY (client, request_id)
);

CREATE INDEX requests_by_expiry ON requests (expires_us);

CREATE TABLE api_keys (
  hash       sha256 NOT NULL PRIMARY KEY,
  id         text   NOT NULL UNIQUE,
  name       bytea  NOT NULL,
  scope      text   NOT NULL CHECK (scope IN ('client', 'miner', 'admin')),
  account    account_id,
  created_us bigint NOT NULL,
  expires_us bigint,
  revoked_us bigint
);

CREATE TABLE account_keys (
  account account_id NOT NULL PRIMARY KEY,
  sealed  bytea      NOT NULL
);

-- Rows on their way in: a statement takes one array of them, with the columns of its table in its
-- order. They are types of their own, so that a table may get a column while older programs write.
CREATE TYPE order_row AS (
  job_id uuid, chain_id bytea, client bytea, operator bytea, payload_commitment bytea, price_uaitbc bigint, max_price_uaitbc bigint,
  execution_limit_us bigint, settle_by_us bigint, expires_us bigint, order_signature bytea, client_key bytea, salt bytea, type bytea,
  model bytea, pinned_digest bytea, queue_timeout_us bigint, total_timeout_us bigint, client_limit boolean, max_attempts bigint,
  submitted_us bigint
);

CREATE TYPE live_row AS (
  id uuid, client bytea, version bigint, phase text, outcome text, status text, failure_reason bigint, failure_message bytea,
  attempt bigint, miner bytea, model_digest bytea, lease_issued_us bigint, lease_signature bytea, excluded bytea, queued_us bigint,
  leased_us bigint, started_us bigint, stop_by_us bigint, escrow_tx bytea, accepted boolean
);

CREATE TYPE done_row AS (
  id uuid, client bytea, status text, failure_reason bigint, failure_message bytea, attempt bigint, miner bytea, model_digest bytea,
  lease_issued_us bigint, lease_signature bytea, excluded bytea, queued_us bigint, leased_us bigint, started_us bigint,
  completed_us bigint, escrow_tx bytea, accepted boolean, escrowed_uaitbc bigint, paid_uaitbc bigint, refunded_uaitbc bigint,
  height bigint, block_us bigint, tx_hash bytea, refund_final_us bigint, has_receipt boolean
);

CREATE TYPE completion_row AS (
  job_id uuid, result_hash bytea, statement bytea, signature bytea, miner_key bytea, metered_us bigint, operator_us bigint,
  acceptance_signature bytea, gpu_utilization double precision, accepted_us bigint
);
