-- What a job's row does not tell any more: the steps of attempts that failed, of streams that dropped,
-- of what was asked to end. An ordinary job has none.
CREATE TABLE steps (
  job_id          BLOB    NOT NULL REFERENCES jobs (id),
  place           INTEGER NOT NULL,
  at_us           INTEGER NOT NULL,
  phase           TEXT    NOT NULL,
  outcome         TEXT    NOT NULL,
  attempt         INTEGER NOT NULL CHECK (attempt >= 0),
  miner           BLOB    CHECK (length(miner) = 20),
  failure_reason  INTEGER NOT NULL,
  failure_message TEXT    NOT NULL,
  PRIMARY KEY (job_id, place)
) STRICT, WITHOUT ROWID;
