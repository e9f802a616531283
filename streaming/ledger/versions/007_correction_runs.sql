-- Changes that a drop makes to many dates of one ticker are kept in runs: a row and a key for each took longer to write
-- than the prices. The view stocketl.corrections shows both kinds as rows.

ALTER TABLE stocketl.corrections RENAME TO correction_cells;
ALTER INDEX stocketl.corrections_pkey RENAME TO correction_cells_pkey;
ALTER INDEX stocketl.corrections_by_seq RENAME TO correction_cells_by_seq;

-- The arrays are as long as `dates`, in its order. A volume that is not known is -1, a return that there is none of NaN.
-- Where only returns have changed, there are no prices and no volumes after the drop: they are those before it.
CREATE TABLE stocketl.correction_runs (
    seq            bigint NOT NULL,
    id             text NOT NULL,
    first_date     date NOT NULL,
    dates          date[] NOT NULL,
    prices_before  double precision[] NOT NULL,
    prices_after   double precision[],
    volumes_before bigint[] NOT NULL,
    volumes_after  bigint[],
    returns_before double precision[] NOT NULL,
    returns_after  double precision[] NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, first_date, seq)
) WITH (toast_tuple_target = 8160); -- a run fits on a page: to compress it would take longer than to write it
CREATE INDEX correction_runs_by_seq ON stocketl.correction_runs USING brin (seq);

CREATE VIEW stocketl.corrections AS
SELECT seq, date, id, price_before, price_after, volume_before, volume_after, return_before, return_after, at
  FROM stocketl.correction_cells
UNION ALL
SELECT r.seq, c.date, r.id, c.price_before, coalesce(c.price_after, c.price_before), nullif(c.volume_before, -1),
       nullif(coalesce(c.volume_after, c.volume_before), -1), nullif(c.return_before, 'NaN'),
       nullif(c.return_after, 'NaN'), r.at
  FROM stocketl.correction_runs r
 CROSS JOIN LATERAL unnest(r.dates, r.prices_before, r.prices_after, r.volumes_before, r.volumes_after,
                           r.returns_before, r.returns_after)
         AS c (date, price_before, price_after, volume_before, volume_after, return_before, return_after);

-- Who could read the table may read the view.
DO $do$
DECLARE
    may record;
BEGIN
    FOR may IN
        SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
          FROM pg_class c, aclexplode(c.relacl) a
         WHERE c.oid = 'stocketl.correction_cells'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
    LOOP
        EXECUTE 'GRANT SELECT ON stocketl.corrections TO ' || may.who;
    END LOOP;
END
$do$;

COMMENT ON TABLE stocketl.correction_cells IS
    'Cells that a drop changed, where these are few dates of a ticker. The view stocketl.corrections has all of them.';
COMMENT ON TABLE stocketl.correction_runs IS
    'Cells that a drop changed, where these are many dates of a ticker. The view stocketl.corrections has all of them.';
COMMENT ON COLUMN stocketl.correction_runs.seq IS 'The drop that changed the cells.';
COMMENT ON COLUMN stocketl.correction_runs.id IS 'The ticker of the cells.';
COMMENT ON COLUMN stocketl.correction_runs.first_date IS 'The first of the days.';
COMMENT ON COLUMN stocketl.correction_runs.dates IS 'The days of the cells, in order.';
COMMENT ON COLUMN stocketl.correction_runs.prices_before IS 'By day: the price before the drop.';
COMMENT ON COLUMN stocketl.correction_runs.prices_after IS 'By day: the price after the drop; null: all are as before.';
COMMENT ON COLUMN stocketl.correction_runs.volumes_before IS 'By day: the volume before the drop; -1: not known.';
COMMENT ON COLUMN stocketl.correction_runs.volumes_after IS 'By day: the volume after it; -1: not known; null: all as before.';
COMMENT ON COLUMN stocketl.correction_runs.returns_before IS
    'By day: the return before the drop; NaN: there was no earlier price.';
COMMENT ON COLUMN stocketl.correction_runs.returns_after IS
    'By day: the return after the drop; NaN: there is no earlier price.';
COMMENT ON COLUMN stocketl.correction_runs.at IS 'When the batch was written that has changed the cells.';
COMMENT ON VIEW stocketl.corrections IS
    'One row for each cell that a drop changed. A cell that a drop brings has none.';
COMMENT ON COLUMN stocketl.corrections.seq IS 'The drop that changed the cell.';
COMMENT ON COLUMN stocketl.corrections.date IS 'The day of the cell.';
COMMENT ON COLUMN stocketl.corrections.id IS 'The ticker of the cell.';
COMMENT ON COLUMN stocketl.corrections.price_before IS 'Its price before the drop.';
COMMENT ON COLUMN stocketl.corrections.price_after IS 'Its price after the drop.';
COMMENT ON COLUMN stocketl.corrections.volume_before IS 'Its volume before the drop, if it was known.';
COMMENT ON COLUMN stocketl.corrections.volume_after IS 'Its volume after the drop, if it is known.';
COMMENT ON COLUMN stocketl.corrections.return_before IS 'Its return before the drop; empty: there was no earlier price.';
COMMENT ON COLUMN stocketl.corrections.return_after IS 'Its return after the drop; empty: there is no earlier price.';
COMMENT ON COLUMN stocketl.corrections.at IS 'When the batch was written that has changed the cell.';
