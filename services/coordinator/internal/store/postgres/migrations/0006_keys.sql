-- Keys may be for some models only, and spend so much a day; keys that came from each other by rotation
-- are one line. A key that an older program makes is a line of its own: '' stands for its id.
ALTER TABLE api_keys
  ADD COLUMN line bytea NOT NULL DEFAULT '',
  -- Full names with commas between them; empty: all.
  ADD COLUMN models bytea NOT NULL DEFAULT '',
  ADD COLUMN spend_per_day_uaitbc unsigned NOT NULL DEFAULT 0,
  DROP CONSTRAINT api_keys_scope_check,
  ADD CONSTRAINT api_keys_scope_check CHECK (scope IN ('client', 'reader', 'miner', 'admin'));

-- The line of keys whose spend per day a job counts in; empty: none.
ALTER TABLE orders ADD COLUMN budget bytea NOT NULL DEFAULT '';

-- A type of its own: older programs go on to write order_row until they are replaced.
CREATE TYPE order_row_2 AS (
  job_id uuid, chain_id bytea, client bytea, operator bytea, payload_commitment bytea, price_uaitbc bigint, max_price_uaitbc bigint,
  execution_limit_us bigint, settle_by_us bigint, expires_us bigint, order_signature bytea, client_key bytea, salt bytea, type bytea,
  model bytea, pinned_digest bytea, queue_timeout_us bigint, total_timeout_us bigint, client_limit boolean, max_attempts bigint,
  submitted_us bigint, budget bytea
);

-- What the jobs submitted on a day (UTC, counted from 1970-01-01) may cost or have cost.
CREATE TABLE spending (
  budget       bytea    NOT NULL,
  day          bigint   NOT NULL,
  spent_uaitbc unsigned NOT NULL,
  PRIMARY KEY (budget, day)
);

-- Idempotency keys of requests for API keys. The secret of the key is derived from the seed with a key
-- that is not here.
CREATE TABLE key_requests (
  account    account_id NOT NULL,
  request_id bytea      NOT NULL,
  hash       sha256     NOT NULL,
  key_id     text       NOT NULL,
  seed       sha256     NOT NULL,
  created_us bigint     NOT NULL,
  expires_us bigint     NOT NULL,
  -- Until when somebody carries it out.
  busy_us    bigint     NOT NULL,
  PRIMARY KEY (account, request_id)
);

CREATE INDEX key_requests_by_expiry ON key_requests (expires_us);
