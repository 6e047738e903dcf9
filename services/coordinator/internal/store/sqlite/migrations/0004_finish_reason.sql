-- Why an answer ended, by its miner's word; empty: not known.
ALTER TABLE completions ADD COLUMN finish_reason TEXT NOT NULL DEFAULT '';
