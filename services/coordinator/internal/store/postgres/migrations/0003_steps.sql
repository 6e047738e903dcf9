-- What a job's row does not tell any more: the steps of attempts that failed, of streams that dropped,
-- of what was asked to end. An ordinary job has none.
CREATE TABLE steps (
  job_id          uuid     NOT NULL,
  place           bigint   GENERATED ALWAYS AS IDENTITY,
  at_us           bigint   NOT NULL,
  phase           text     NOT NULL,
  outcome         text     NOT NULL,
  attempt         unsigned NOT NULL,
  miner           account_id,
  failure_reason  bigint   NOT NULL,
  failure_message bytea    NOT NULL,
  PRIMARY KEY (job_id, place)
);
