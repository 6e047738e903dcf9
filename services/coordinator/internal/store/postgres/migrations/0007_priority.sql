-- Which of the jobs that wait for a model go first: -1 low, 0 normal, 1 high.
ALTER TABLE orders ADD COLUMN priority smallint NOT NULL DEFAULT 0;
-- The order's, here for the index.
ALTER TABLE live_jobs ADD COLUMN priority smallint NOT NULL DEFAULT 0;

DROP INDEX live_jobs_waiting;
CREATE INDEX live_jobs_waiting ON live_jobs (shard, model, priority, client, id) WHERE phase = 'queued';

-- Types of their own: older programs go on to write the ones before until they are replaced.
CREATE TYPE order_row_3 AS (
  job_id uuid, chain_id bytea, client bytea, operator bytea, payload_commitment bytea, price_uaitbc bigint, max_price_uaitbc bigint,
  execution_limit_us bigint, settle_by_us bigint, expires_us bigint, order_signature bytea, client_key bytea, salt bytea, type bytea,
  model bytea, pinned_digest bytea, queue_timeout_us bigint, total_timeout_us bigint, client_limit boolean, max_attempts bigint,
  submitted_us bigint, budget bytea, priority bigint
);

CREATE TYPE live_row_3 AS (
  id uuid, client bytea, version bigint, phase text, outcome text, status text, failure_reason bigint, failure_message bytea,
  attempt bigint, miner bytea, model_digest bytea, lease_issued_us bigint, lease_signature bytea, excluded bytea, queued_us bigint,
  leased_us bigint, started_us bigint, stop_by_us bigint, escrow_tx bytea, accepted boolean, shard bigint, model bytea, due_us bigint,
  priority bigint
);

-- The highest that a key's jobs may have.
ALTER TABLE api_keys ADD COLUMN priority smallint NOT NULL DEFAULT 0;
