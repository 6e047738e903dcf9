-- Which of the jobs that wait for a model go first: -1 low, 0 normal, 1 high.
ALTER TABLE orders ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- The order's, here for the index.
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (shard, model, priority, client, id) WHERE phase = 'queued';

-- The highest that a key's jobs may have.
ALTER TABLE api_keys ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
