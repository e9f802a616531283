-- What a replay must read again, and what the state must hold: compared before Spark commits, see agreement.py.

-- The digest of a drop's valid rows, over all of its batches: 16 hexadecimal digits, the order of the rows left out.
ALTER TABLE stocketl.drops ADD COLUMN content text;

-- By batch: {"<seq>": {"rows_read", "rows_rejected", "lines", "content"}}, for the last 100 batches.
CREATE TABLE stocketl.readings (
    checkpoint_id text NOT NULL,
    batch_id      bigint NOT NULL,
    drops         jsonb NOT NULL,
    PRIMARY KEY (checkpoint_id, batch_id)
);

-- The last batch of each checkpoint may be replayed still: what the ledger knows of it. Of a drop that was read in several
-- batches that is only the lines.
INSERT INTO stocketl.readings
SELECT d.checkpoint_id, d.batch_id, jsonb_object_agg(
           d.seq, jsonb_build_object('lines', (r.lines ->> d.batch_id::text)::bigint)
                  || CASE WHEN (SELECT count(*) FROM jsonb_object_keys(r.lines)) > 1 THEN '{}'::jsonb
                          ELSE jsonb_build_object('rows_read', d.rows_read, 'rows_rejected', d.rows_rejected) END)
  FROM stocketl.drops d
  JOIN stocketl.receipts r USING (seq)
  JOIN (SELECT checkpoint_id, max(batch_id) AS batch_id FROM stocketl.batches GROUP BY checkpoint_id) last
       USING (checkpoint_id, batch_id)
 GROUP BY d.checkpoint_id, d.batch_id;

-- By bucket of the state: how many cells it holds after `batch_id`, the last batch that changed it, and the sum of their
-- hashes (fingerprint.py). Bucket -1 stands for all that have no row because they are older than this table.
CREATE TABLE stocketl.fingerprints (
    checkpoint_id text NOT NULL,
    bucket        integer NOT NULL,
    batch_id      bigint NOT NULL,
    cells         bigint NOT NULL,
    sum           bigint NOT NULL,
    PRIMARY KEY (checkpoint_id, bucket)
) WITH (fillfactor = 50); -- a few rows, each written at every batch

INSERT INTO stocketl.fingerprints
SELECT checkpoint_id, -1, max(batch_id), 0, 0 FROM stocketl.batches GROUP BY checkpoint_id;

-- What comparing state, ledger and tables as a whole has found; problem null: nothing.
CREATE TABLE stocketl.audits (
    audited_at timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    batch_id   bigint NOT NULL,
    cells      bigint NOT NULL,
    seconds    double precision NOT NULL,
    problem    text
);
