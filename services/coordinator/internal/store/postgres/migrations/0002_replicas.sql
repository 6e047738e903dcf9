-- Several replicas on one database.

-- The processes that share the database. A row is one run of one process: its id is never used again.
-- A transaction locks its replica's row, so that one that was removed can commit nothing any more, and
-- one that is committing is not removed in between.
CREATE TABLE replicas (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- The replica's state folder: a new run of the same one takes the place of the run before.
  name       bytea       NOT NULL UNIQUE,
  -- Where its gRPC is reached by the others, and the SHA-256 of its certificate; NULL: plaintext.
  address    text        NOT NULL,
  cert_hash  sha256,
  -- By the database's clock: those of replicas may differ.
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What one replica at a time does: 0 is settling with the ledger, every other number a shard of the
-- jobs. Who holds one has it until it leaves or is removed from replicas. The term counts the holders.
CREATE TABLE duties (
  id     integer NOT NULL PRIMARY KEY CHECK (id >= 0),
  holder bigint  NOT NULL,
  term   bigint  NOT NULL DEFAULT 1
);

INSERT INTO duties (id, holder) VALUES (0, 0), (1, 0);

ALTER TABLE live_jobs
  ADD COLUMN shard  integer NOT NULL DEFAULT 1,
  -- The order's, here for the index.
  ADD COLUMN model  bytea NOT NULL DEFAULT '',
  -- When the job has waited long enough for a miner.
  ADD COLUMN due_us bigint;

ALTER TABLE done_jobs ADD COLUMN shard integer NOT NULL DEFAULT 1;

UPDATE live_jobs l SET version = version + 1, model = o.model,
  due_us = CASE WHEN phase = 'queued' THEN least(queued_us + o.queue_timeout_us, o.submitted_us + o.total_timeout_us) END
FROM orders o WHERE o.job_id = l.id;

ALTER TABLE live_jobs ADD CONSTRAINT due_while_queued CHECK (due_us IS NULL OR phase = 'queued');

-- What waits for a miner, as it is read: by model and client, oldest first; and what has waited enough.
CREATE INDEX live_jobs_waiting ON live_jobs (shard, model, client, id) WHERE phase = 'queued';
CREATE INDEX live_jobs_due ON live_jobs (due_us) WHERE phase = 'queued';
-- What miners hold: few, whatever waits.
CREATE INDEX live_jobs_held ON live_jobs (miner, id) WHERE phase IN ('leased', 'running', 'unknown');

-- A job's attempts count up, but not always by one: see docs/states.md.
DROP TRIGGER live_jobs_go_forward ON live_jobs;
CREATE TRIGGER live_jobs_go_forward BEFORE UPDATE ON live_jobs FOR EACH ROW
WHEN (NEW.attempt < OLD.attempt OR NEW.accepted < OLD.accepted OR NEW.version <> OLD.version + 1)
EXECUTE FUNCTION refuse_change('jobs never go back: attempts count up, versions by one, what was accepted stays');

CREATE TYPE live_row_2 AS (
  id uuid, client bytea, version bigint, phase text, outcome text, status text, failure_reason bigint, failure_message bytea,
  attempt bigint, miner bytea, model_digest bytea, lease_issued_us bigint, lease_signature bytea, excluded bytea, queued_us bigint,
  leased_us bigint, started_us bigint, stop_by_us bigint, escrow_tx bytea, accepted boolean, shard bigint, model bytea, due_us bigint
);

CREATE TYPE done_row_2 AS (
  id uuid, client bytea, status text, failure_reason bigint, failure_message bytea, attempt bigint, miner bytea, model_digest bytea,
  lease_issued_us bigint, lease_signature bytea, excluded bytea, queued_us bigint, leased_us bigint, started_us bigint,
  completed_us bigint, escrow_tx bytea, accepted boolean, escrowed_uaitbc bigint, paid_uaitbc bigint, refunded_uaitbc bigint,
  height bigint, block_us bigint, tx_hash bytea, refund_final_us bigint, has_receipt boolean, shard bigint
);
