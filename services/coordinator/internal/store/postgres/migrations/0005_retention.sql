-- Prompts and results are deleted some time after a job's end, in the order of the ends: how far that
-- has come is noted, so that no batch passes over what is deleted already.
CREATE INDEX done_jobs_by_end ON done_jobs (completed_us, id);

CREATE TABLE purged (
  only_row     boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
  completed_us bigint  NOT NULL,
  job_id       uuid    NOT NULL
);

INSERT INTO purged (completed_us, job_id) VALUES (0, '00000000-0000-0000-0000-000000000000');
