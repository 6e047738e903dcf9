-- Prompts and results are deleted some time after a job's end, in the order of the ends: how far that
-- has come is noted, so that no batch passes over what is deleted already.
CREATE INDEX jobs_by_end ON jobs (completed_us, id) WHERE phase = 'done';

CREATE TABLE purged (
  only_row     INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  completed_us INTEGER NOT NULL,
  job_id       BLOB    NOT NULL
) STRICT;

INSERT INTO purged (only_row, completed_us, job_id) VALUES (1, 0, x'');
