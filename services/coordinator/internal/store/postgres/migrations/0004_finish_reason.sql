-- Why an answer ended, by its miner's word; empty: not known.
ALTER TABLE completions ADD COLUMN finish_reason bytea NOT NULL DEFAULT '';

-- A type of its own: older programs go on to write completion_row until they are replaced.
CREATE TYPE completion_row_2 AS (
  job_id uuid, result_hash bytea, statement bytea, signature bytea, miner_key bytea, metered_us bigint, operator_us bigint,
  acceptance_signature bytea, gpu_utilization double precision, accepted_us bigint, finish_reason bytea
);
