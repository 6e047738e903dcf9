-- Keys may be for some models only, and spend so much a day; keys that came from each other by rotation
-- are one line. Made anew for the scope `reader`.
CREATE TABLE api_keys_2 (
  hash                 BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
  id                   TEXT    NOT NULL UNIQUE,
  name                 TEXT    NOT NULL,
  scope                TEXT    NOT NULL CHECK (scope IN ('client', 'reader', 'miner', 'admin')),
  account              BLOB    CHECK (length(account) = 20),
  created_us           INTEGER NOT NULL,
  expires_us           INTEGER,
  revoked_us           INTEGER,
  line                 TEXT    NOT NULL,
  -- Full names with commas between them; empty: all.
  models               TEXT    NOT NULL,
  spend_per_day_uaitbc INTEGER NOT NULL CHECK (spend_per_day_uaitbc >= 0)
) STRICT;

INSERT INTO api_keys_2 SELECT hash, id, name, scope, account, created_us, expires_us, revoked_us, id, '', 0 FROM api_keys;
DROP TABLE api_keys;
ALTER TABLE api_keys_2 RENAME TO api_keys;

-- The line of keys whose spend per day a job counts in; empty: none.
ALTER TABLE orders ADD COLUMN budget TEXT NOT NULL DEFAULT '';

-- What the jobs submitted on a day (UTC, counted from 1970-01-01) may cost or have cost.
CREATE TABLE spending (
  budget       TEXT    NOT NULL,
  day          INTEGER NOT NULL,
  spent_uaitbc INTEGER NOT NULL CHECK (spent_uaitbc >= 0),
  PRIMARY KEY (budget, day)
) STRICT, WITHOUT ROWID;

-- Idempotency keys of requests for API keys. The secret of the key is derived from the seed with a key
-- that is not here.
CREATE TABLE key_requests (
  account    BLOB    NOT NULL CHECK (length(account) = 20),
  request_id TEXT    NOT NULL,
  hash       BLOB    NOT NULL CHECK (length(hash) = 32),
  key_id     TEXT    NOT NULL,
  seed       BLOB    NOT NULL CHECK (length(seed) = 32),
  created_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  -- Until when somebody carries it out.
  busy_us    INTEGER NOT NULL,
  PRIMARY KEY (account, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX key_requests_by_expiry ON key_requests (expires_us);
