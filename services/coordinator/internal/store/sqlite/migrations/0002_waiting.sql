-- What waits for a miner is read by model and client, instead of being in memory as a whole.

ALTER TABLE jobs ADD COLUMN shard INTEGER NOT NULL DEFAULT 1;
-- The order's, here for the index.
ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT '';
-- When the job has waited long enough for a miner.
ALTER TABLE jobs ADD COLUMN due_us INTEGER CHECK (due_us IS NULL OR phase = 'queued');

UPDATE jobs SET (model, due_us) = (
  SELECT o.model, CASE WHEN phase = 'queued' THEN min(queued_us + o.queue_timeout_us, o.submitted_us + o.total_timeout_us) END
  FROM orders o WHERE o.job_id = jobs.id)
WHERE phase <> 'done';

CREATE INDEX jobs_waiting ON jobs (shard, model, client, id) WHERE phase = 'queued';
CREATE INDEX jobs_due ON jobs (due_us) WHERE phase = 'queued';
-- What miners hold: few, whatever waits.
CREATE INDEX jobs_held ON jobs (miner, id) WHERE phase IN ('leased', 'running', 'unknown');

-- A job's attempts count up, but not always by one: see docs/states.md.
DROP TRIGGER jobs_go_forward;
CREATE TRIGGER jobs_go_forward BEFORE UPDATE ON jobs
WHEN (OLD.phase = 'done' AND NEW.phase <> 'done')
  OR (OLD.phase = 'done' AND NEW.outcome <> OLD.outcome)
  OR NEW.attempt < OLD.attempt
  OR NEW.accepted < OLD.accepted
  OR NEW.settled < OLD.settled
BEGIN
  SELECT RAISE(ABORT, 'jobs never go back: done is final, attempts only count up');
END;
