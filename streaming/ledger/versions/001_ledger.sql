-- The ledger as it was first made.

CREATE TABLE stocketl.drops (
    seq            bigint PRIMARY KEY,
    key            text NOT NULL,
    etag           text NOT NULL,
    version_id     text,
    size           bigint NOT NULL,
    last_modified  timestamptz NOT NULL,
    status         text NOT NULL CHECK (status IN ('loading', 'loaded', 'failed')),
    reason         text,
    rows_read      bigint NOT NULL CHECK (rows_read >= 0),
    rows_loaded    bigint NOT NULL CHECK (rows_loaded >= 0),
    rows_duplicate bigint NOT NULL CHECK (rows_duplicate >= 0),
    rows_rejected  bigint NOT NULL CHECK (rows_rejected >= 0),
    first_date     date,
    last_date      date,
    checkpoint_id  text NOT NULL,
    batch_id       bigint NOT NULL,
    loaded_at      timestamptz,
    CONSTRAINT rows_reconcile CHECK (rows_read = rows_loaded + rows_duplicate + rows_rejected),
    CONSTRAINT failed_has_a_reason CHECK ((status = 'failed') = (reason IS NOT NULL) OR status = 'loading')
);
CREATE INDEX drops_by_key ON stocketl.drops (key);
CREATE INDEX drops_by_batch ON stocketl.drops (checkpoint_id, batch_id);

CREATE TABLE stocketl.batches (
    checkpoint_id text NOT NULL,
    batch_id      bigint NOT NULL,
    epoch         bigint NOT NULL,
    drops         bigint NOT NULL,
    digest        text NOT NULL,
    cells         bigint,
    committed_at  timestamptz,
    PRIMARY KEY (checkpoint_id, batch_id)
);

CREATE TABLE stocketl.tickers (
    id          text PRIMARY KEY,
    column_name text NOT NULL UNIQUE,
    table_no    integer NOT NULL CHECK (table_no > 0)
);

-- One row: the newest writer, and the schema of the wide tables, fixed for good so that they never end up in two.
CREATE TABLE stocketl.writer (
    one_row     boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    epoch       bigint NOT NULL,
    host        text,
    process_id  integer,
    started_at  timestamptz,
    wide_schema text NOT NULL
);

-- The outbox: receipts to be written once Spark has committed the batch, and moves once the receipt is written.
-- `lines` counts the lines of the drop that each of its batches has read: {"<batch id>": lines}.
CREATE TABLE stocketl.receipts (
    seq        bigint PRIMARY KEY REFERENCES stocketl.drops,
    body       jsonb NOT NULL,
    lines      jsonb NOT NULL,
    written_at timestamptz,
    moved_to   text,
    moved_at   timestamptz
);
CREATE INDEX receipts_unwritten ON stocketl.receipts (seq) WHERE written_at IS NULL;
CREATE INDEX receipts_unmoved ON stocketl.receipts (seq) WHERE moved_at IS NULL;

CREATE TABLE stocketl.latest (
    id     text PRIMARY KEY,
    date   date NOT NULL,
    price  double precision NOT NULL,
    return double precision,
    volume bigint
) WITH (fillfactor = 50); -- room for the next version of a row on its own page: updates touch no index

CREATE FUNCTION stocketl.series(id text)
RETURNS TABLE (date date, price double precision, return double precision, volume bigint)
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog
AS $body$
DECLARE
    wanted text := btrim(series.id);
    digits text := ltrim(wanted, '0');
    home record;
BEGIN
    -- as it was written first (--text-ids), then as a number of three digits
    SELECT t.column_name, w.wide_schema, CASE t.table_no WHEN 1 THEN '' ELSE '_' || t.table_no END AS suffix
      INTO home
      FROM stocketl.tickers t, stocketl.writer w
     WHERE t.id = wanted
        OR wanted ~ '^[0-9]+$' AND t.id = lpad(digits, greatest(3, length(digits)), '0')
     ORDER BY t.id <> wanted
     LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no ticker %', quote_literal(wanted)
            USING ERRCODE = 'no_data_found', HINT = 'SELECT id FROM stocketl.tickers lists them.';
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT p.date, p.%1$I, r.%1$I, v.%1$I FROM %2$I.%3$I p JOIN %2$I.%4$I r USING (date) '
        'JOIN %2$I.%5$I v USING (date) WHERE p.%1$I IS NOT NULL ORDER BY p.date',
        home.column_name, home.wide_schema,
        'prices' || home.suffix, 'returns' || home.suffix, 'volume' || home.suffix);
END
$body$;
