-- Names for people: a ticker as it is typed, a day, some tickers, everything in long form, and a comment on each part.

CREATE FUNCTION stocketl.ticker(asked text)
RETURNS text
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog
AS $body$
DECLARE
    wanted text := btrim(asked);
    digits text := ltrim(wanted, '0');
    found_id text;
    alike text[];
BEGIN
    -- as it was written first (--text-ids), then as a number of three digits, then whatever its case
    SELECT t.id INTO found_id
      FROM stocketl.tickers t
     WHERE t.id = wanted
        OR wanted ~ '^[0-9]+$' AND t.id = lpad(digits, greatest(3, length(digits)), '0')
     ORDER BY t.id <> wanted
     LIMIT 1;
    IF FOUND THEN
        RETURN found_id;
    END IF;
    SELECT array_agg(t.id ORDER BY t.id) INTO alike FROM stocketl.tickers t WHERE lower(t.id) = lower(wanted);
    IF cardinality(alike) = 1 THEN
        RETURN alike[1];
    ELSIF alike IS NOT NULL THEN
        RAISE EXCEPTION 'no ticker %, but there are %', quote_literal(wanted), array_to_string(alike, ' and ')
            USING ERRCODE = 'no_data_found', HINT = 'Case counts where several tickers differ in nothing else.';
    END IF;
    RAISE EXCEPTION 'no ticker %', quote_literal(wanted)
        USING ERRCODE = 'no_data_found', HINT = 'SELECT id FROM stocketl.tickers lists them.';
END
$body$;

CREATE OR REPLACE FUNCTION stocketl.series(id text)
RETURNS TABLE (date date, price double precision, return double precision, volume bigint)
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog
AS $body$
DECLARE
    wanted text := stocketl.ticker(series.id);
    home record;
BEGIN
    SELECT t.column_name, w.wide_schema, CASE t.table_no WHEN 1 THEN '' ELSE '_' || t.table_no END AS suffix
      INTO home
      FROM stocketl.tickers t, stocketl.writer w
     WHERE t.id = wanted;
    RETURN QUERY EXECUTE format(
        'SELECT p.date, p.%1$I, r.%1$I, v.%1$I FROM %2$I.%3$I p JOIN %2$I.%4$I r USING (date) '
        'JOIN %2$I.%5$I v USING (date) WHERE p.%1$I IS NOT NULL ORDER BY p.date',
        home.column_name, home.wide_schema,
        'prices' || home.suffix, 'returns' || home.suffix, 'volume' || home.suffix);
END
$body$;

-- 10,000 names in a query take PostgreSQL half a second to look up, in tables of 800 columns. A row as JSON brings its
-- names along: 0.05 s. For many dates it is the other way round, so `ticks` and the views name the columns.
CREATE FUNCTION stocketl.day(day date)
RETURNS TABLE (id text, price double precision, return double precision, volume bigint)
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog
SET extra_float_digits = 1 -- numbers as JSON are exact
AS $body$
DECLARE
    cells text[];
BEGIN
    SELECT array_agg(k.cells ORDER BY k.at) INTO cells
      FROM (SELECT kinds.at, string_agg(format(
                       'SELECT %s AS table_no, j.key, j.value FROM %I.%I w '
                       'CROSS JOIN LATERAL json_each_text(row_to_json(w)) j WHERE w.date = $1 AND j.value IS NOT NULL',
                       g.table_no, w.wide_schema,
                       kinds.kind || CASE g.table_no WHEN 1 THEN '' ELSE '_' || g.table_no END), ' UNION ALL ') AS cells
              FROM unnest(ARRAY['prices', 'returns', 'volume']) WITH ORDINALITY kinds (kind, at)
             CROSS JOIN (SELECT DISTINCT t.table_no FROM stocketl.tickers t) g
             CROSS JOIN stocketl.writer w
             GROUP BY kinds.at) k;
    IF cells IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT t.id, p.value::float8, r.value::float8, v.value::int8 FROM stocketl.tickers t '
            'JOIN (%s) p ON (p.table_no, p.key) = (t.table_no, t.column_name) '
            'LEFT JOIN (%s) r ON (r.table_no, r.key) = (t.table_no, t.column_name) '
            'LEFT JOIN (%s) v ON (v.table_no, v.key) = (t.table_no, t.column_name) ORDER BY t.id',
            cells[1], cells[2], cells[3]) USING day;
    END IF;
END
$body$;

CREATE FUNCTION stocketl.ticks(ids text[] DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL)
RETURNS TABLE (date date, id text, price double precision, return double precision, volume bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
AS $body$
DECLARE
    wanted text[];
    home record;
BEGIN
    SELECT array_agg(DISTINCT coalesce(t.id, stocketl.ticker(a.asked))) INTO wanted
      FROM unnest(ids) a (asked) LEFT JOIN stocketl.tickers t ON t.id = a.asked
     WHERE a.asked IS NOT NULL;
    FOR home IN
        SELECT w.wide_schema, array_agg(t.id ORDER BY t.id) AS members,
               CASE t.table_no WHEN 1 THEN '' ELSE '_' || t.table_no END AS suffix,
               string_agg(format('p.%I', t.column_name), ', ' ORDER BY t.id) AS prices,
               string_agg(format('r.%I', t.column_name), ', ' ORDER BY t.id) AS returns,
               string_agg(format('v.%I', t.column_name), ', ' ORDER BY t.id) AS volumes
          FROM stocketl.tickers t, stocketl.writer w
         WHERE ids IS NULL OR t.id = ANY (wanted)
         GROUP BY t.table_no, w.wide_schema
         ORDER BY t.table_no
    LOOP
        -- not joined: to plan the join of three tables with thousands of names takes minutes
        RETURN QUERY EXECUTE format(
            'SELECT p.date, u.* FROM %1$I.%2$I p CROSS JOIN LATERAL unnest($1, ARRAY[%5$s], '
            '(SELECT ARRAY[%6$s] FROM %1$I.%3$I r WHERE r.date = p.date), '
            '(SELECT ARRAY[%7$s] FROM %1$I.%4$I v WHERE v.date = p.date)) u (id, price, return, volume) '
            'WHERE p.date BETWEEN $2 AND $3 AND u.price IS NOT NULL ORDER BY p.date',
            home.wide_schema, 'prices' || home.suffix, 'returns' || home.suffix, 'volume' || home.suffix,
            home.prices, home.returns, home.volumes)
            USING home.members, coalesce(from_date, '-infinity'::date), coalesce(to_date, 'infinity'::date);
    END LOOP;
END
$body$;

-- A view has three columns: the date, the ticker, the value.
CREATE FUNCTION stocketl.describe_long_view(view_name text, value_name text, about text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $body$
BEGIN
    EXECUTE format('COMMENT ON VIEW stocketl.%I IS %L', view_name, about);
    EXECUTE format('COMMENT ON COLUMN stocketl.%I.date IS %L', view_name, 'The day.');
    EXECUTE format('COMMENT ON COLUMN stocketl.%I.id IS %L', view_name, 'The ticker.');
    EXECUTE format('COMMENT ON COLUMN stocketl.%I.%I IS %L', view_name, value_name, 'Its ' || value_name || '.');
END
$body$;

CREATE VIEW stocketl.long_prices AS SELECT NULL::date AS date, NULL::text AS id, NULL::float8 AS price WHERE false;
CREATE VIEW stocketl.long_returns AS SELECT NULL::date AS date, NULL::text AS id, NULL::float8 AS return WHERE false;
CREATE VIEW stocketl.long_volume AS SELECT NULL::date AS date, NULL::text AS id, NULL::int8 AS volume WHERE false;
SELECT stocketl.describe_long_view('long_' || kind, value, format(
           'Each %s that is known: one row for each date and ticker, over all groups.', value))
  FROM (VALUES ('prices', 'price'), ('returns', 'return'), ('volume', 'volume')) kinds (kind, value);

-- A view for each wide table: to renew one over all of 10,000 tickers would take 0.25 s for each new one, not 0.02 s.
-- A column that no ticker has yet is empty, so it gives no rows.
CREATE FUNCTION stocketl.keep_long_view(kind text, table_no integer)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $body$
DECLARE
    long_name text := 'long_' || kind;
    part_name text := format('%s_%s', long_name, table_no);
    value_name text := CASE kind WHEN 'prices' THEN 'price' WHEN 'returns' THEN 'return' ELSE 'volume' END;
    value_type regtype := CASE kind WHEN 'volume' THEN 'int8' ELSE 'float8' END;
    wide record;
    held record;
    whole text := format('Each %s that is known: one row for each date and ticker, over all groups.', value_name);
    parts text;
    changed boolean := false;
BEGIN
    SELECT c.oid, n.nspname, c.relname, pg_has_role(c.relowner, 'USAGE') AS ours INTO wide
      FROM stocketl.writer w
      JOIN pg_namespace n ON n.nspname = w.wide_schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
                     AND c.relname = kind || CASE table_no WHEN 1 THEN '' ELSE '_' || table_no END;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF wide.ours AND obj_description(wide.oid, 'pg_class') IS NULL THEN
        EXECUTE format('COMMENT ON TABLE %I.%I IS %L', wide.nspname, wide.relname, format(
            'StockETL: the %s of the tickers of group %s: one row for each date, one column stk_<id> for each ticker. '
            'The table stocketl.tickers says where each ticker is.', kind, table_no));
        EXECUTE format('COMMENT ON COLUMN %I.%I.date IS %L', wide.nspname, wide.relname, 'The day of the values.');
        changed := true;
    END IF;
    SELECT array_agg(substr(a.attname, 5) ORDER BY a.attnum) AS ids,
           string_agg(format('w.%I', a.attname), ', ' ORDER BY a.attnum) AS columns,
           bool_and(EXISTS (
               SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                WHERE r.ev_class = to_regclass(format('stocketl.%I', part_name)) AND d.refclassid = 'pg_class'::regclass
                  AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)) AS seen
      INTO held
      FROM pg_attribute a
     WHERE a.attrelid = wide.oid AND a.attnum > 0 AND NOT a.attisdropped
       AND left(a.attname, 4) = 'stk_' AND a.atttypid = value_type;
    IF held.ids IS NOT NULL AND NOT held.seen THEN
        EXECUTE format(
            'CREATE OR REPLACE VIEW stocketl.%I AS SELECT w.date, u.id, u.value AS %I FROM %I.%I w '
            'CROSS JOIN LATERAL unnest(%L::text[], ARRAY[%s]) u (id, value) WHERE u.value IS NOT NULL',
            part_name, value_name, wide.nspname, wide.relname, held.ids, held.columns);
        PERFORM stocketl.describe_long_view(part_name, value_name, format(
            'The part of stocketl.%s that reads the tickers of group %s.', long_name, table_no));
        changed := true;
    END IF;
    -- the whole has all parts, unless one of them is new
    SELECT string_agg(format('SELECT date, id, %I FROM stocketl.%I', value_name, c.relname), ' UNION ALL '
                      ORDER BY length(c.relname), c.relname) INTO parts
      FROM pg_class c
     WHERE c.relnamespace = 'stocketl'::regnamespace AND c.relkind = 'v'
       AND c.relname ~ ('^' || long_name || '_[0-9]+$')
    HAVING NOT bool_and(EXISTS (
               SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                WHERE r.ev_class = to_regclass(format('stocketl.%I', long_name))
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid));
    IF parts IS NOT NULL THEN
        EXECUTE format('CREATE OR REPLACE VIEW stocketl.%I AS %s', long_name, parts);
        PERFORM stocketl.describe_long_view(long_name, value_name, whole);
        changed := true;
    END IF;
    RETURN changed;
END
$body$;

SELECT stocketl.keep_long_view(kinds.kind, g.table_no)
  FROM (SELECT DISTINCT t.table_no FROM stocketl.tickers t) g
 CROSS JOIN unnest(ARRAY['prices', 'returns', 'volume']) kinds (kind)
 ORDER BY g.table_no;

COMMENT ON SCHEMA stocketl IS 'StockETL: what was loaded from what, and functions and views for people.';
COMMENT ON FUNCTION stocketl.ticker(text) IS
    'The id of a ticker as the tables have it: as written, else as a number of three digits, else the only one that '
    'differs in case alone. If there is none, an error that names those that are alike.';
COMMENT ON FUNCTION stocketl.series(text) IS 'All dates of one ticker, wherever it is, in order of date.';
COMMENT ON FUNCTION stocketl.day(date) IS 'All tickers that have a price on a date, in order of id.';
COMMENT ON FUNCTION stocketl.ticks(text[], date, date) IS
    'Rows of these tickers (NULL: of all) from a date to a date, both included (NULL: no limit). They come in order of '
    'date for each group of tickers only, so add ORDER BY.';
COMMENT ON FUNCTION stocketl.describe_long_view(text, text, text) IS 'Puts comments on a view stocketl.long_...';
COMMENT ON FUNCTION stocketl.keep_long_view(text, integer) IS
    'Makes the views stocketl.long_... read each column of a wide table. The job calls it when it has made columns.';

COMMENT ON TABLE stocketl.drops IS
    'One row for each drop: one version of one price file. Rows read are always loaded + duplicate + rejected.';
COMMENT ON COLUMN stocketl.drops.seq IS
    'The number that the drop got when it was admitted, in order of last change and name.';
COMMENT ON COLUMN stocketl.drops.key IS 'The name of the file below the input.';
COMMENT ON COLUMN stocketl.drops.etag IS
    'What tells this version of the file from others: on S3 its ETag, in a folder its inode, time and size.';
COMMENT ON COLUMN stocketl.drops.version_id IS 'The version of the object, if the input is a versioned bucket.';
COMMENT ON COLUMN stocketl.drops.size IS 'Bytes of the file.';
COMMENT ON COLUMN stocketl.drops.last_modified IS 'When the file was last changed.';
COMMENT ON COLUMN stocketl.drops.status IS
    'loading, loaded or failed. A drop that is loaded and has a reason has failed in parts.';
COMMENT ON COLUMN stocketl.drops.reason IS 'Why the drop failed.';
COMMENT ON COLUMN stocketl.drops.rows_read IS 'Rows that were read: loaded, duplicate or rejected.';
COMMENT ON COLUMN stocketl.drops.rows_loaded IS 'Rows that count.';
COMMENT ON COLUMN stocketl.drops.rows_duplicate IS
    'Rows that a later row of the drop with the same date and ticker replaced.';
COMMENT ON COLUMN stocketl.drops.rows_rejected IS 'Rows that break a rule. The receipt has the first 20.';
COMMENT ON COLUMN stocketl.drops.first_date IS 'The first date of the rows loaded.';
COMMENT ON COLUMN stocketl.drops.last_date IS 'The last date of the rows loaded.';
COMMENT ON COLUMN stocketl.drops.checkpoint_id IS 'The checkpoint of the job that loaded it.';
COMMENT ON COLUMN stocketl.drops.batch_id IS 'The batch that loaded it, the last one if there were several.';
COMMENT ON COLUMN stocketl.drops.loaded_at IS 'When the drop was loaded or failed.';
COMMENT ON COLUMN stocketl.drops.content IS
    'Digest of the valid rows, whatever their order: drops with the same content have the same.';
COMMENT ON COLUMN stocketl.drops.reading IS
    'How the drop was read: 1 or 2 for the built-in reading, else the digest of a profile.';
COMMENT ON COLUMN stocketl.drops.conflicts IS 'Duplicate rows that gave another price or volume.';
COMMENT ON COLUMN stocketl.drops.volume_unreadable IS 'Loaded rows whose volume could not be read.';
COMMENT ON COLUMN stocketl.drops.rows_passed_over IS 'Rows that the profile leaves out.';
COMMENT ON TABLE stocketl.batches IS 'One row for each batch: a list of drops, loaded in one transaction.';
COMMENT ON COLUMN stocketl.batches.checkpoint_id IS 'The checkpoint of the job.';
COMMENT ON COLUMN stocketl.batches.batch_id IS 'The number of the batch, as listeners on the channel stocketl get it.';
COMMENT ON COLUMN stocketl.batches.epoch IS 'The number of the start of the job that wrote it.';
COMMENT ON COLUMN stocketl.batches.drops IS 'How many drops it read.';
COMMENT ON COLUMN stocketl.batches.digest IS 'Digest of the list of drops, compared if the batch is replayed.';
COMMENT ON COLUMN stocketl.batches.cells IS 'Cells written to the wide tables.';
COMMENT ON COLUMN stocketl.batches.committed_at IS 'When it became visible.';
COMMENT ON TABLE stocketl.tickers IS 'Where each ticker is.';
COMMENT ON COLUMN stocketl.tickers.id IS 'The ticker.';
COMMENT ON COLUMN stocketl.tickers.column_name IS 'Its column in the wide tables.';
COMMENT ON COLUMN stocketl.tickers.table_no IS
    'The number of its group: 1 is prices, returns and volume; 2 is prices_2, returns_2 and volume_2.';
COMMENT ON TABLE stocketl.writer IS 'One row: the job that may write.';
COMMENT ON COLUMN stocketl.writer.one_row IS 'Always true: there is one row.';
COMMENT ON COLUMN stocketl.writer.epoch IS 'The number of its start. Jobs of an older start write nothing.';
COMMENT ON COLUMN stocketl.writer.host IS 'The machine that it runs on.';
COMMENT ON COLUMN stocketl.writer.process_id IS 'Its process there.';
COMMENT ON COLUMN stocketl.writer.started_at IS 'When it took over.';
COMMENT ON COLUMN stocketl.writer.wide_schema IS 'The schema of the wide tables.';
COMMENT ON TABLE stocketl.receipts IS 'What became of each drop, as a receipt, and where its file was moved.';
COMMENT ON COLUMN stocketl.receipts.seq IS 'The drop.';
COMMENT ON COLUMN stocketl.receipts.body IS 'The receipt: counts, reason, the first rejected rows.';
COMMENT ON COLUMN stocketl.receipts.lines IS 'By batch: how many lines of the drop it read.';
COMMENT ON COLUMN stocketl.receipts.written_at IS 'When the receipt was written to its place.';
COMMENT ON COLUMN stocketl.receipts.moved_to IS 'Where the file was moved.';
COMMENT ON COLUMN stocketl.receipts.moved_at IS 'When it was moved.';
COMMENT ON TABLE stocketl.latest IS 'The newest date of each ticker.';
COMMENT ON COLUMN stocketl.latest.id IS 'The ticker.';
COMMENT ON COLUMN stocketl.latest.date IS 'Its newest date with a price.';
COMMENT ON COLUMN stocketl.latest.price IS 'The price of that date.';
COMMENT ON COLUMN stocketl.latest.volume IS 'The volume of that date, if it is known.';
COMMENT ON COLUMN stocketl.latest.return IS 'The price divided by the one before, minus 1.';
COMMENT ON TABLE stocketl.readings IS 'What the last batches read, compared if one is replayed.';
COMMENT ON COLUMN stocketl.readings.checkpoint_id IS 'The checkpoint of the job.';
COMMENT ON COLUMN stocketl.readings.batch_id IS 'The batch.';
COMMENT ON COLUMN stocketl.readings.drops IS 'By drop: rows read, rejected, lines, digest.';
COMMENT ON TABLE stocketl.fingerprints IS 'What the state of the job must hold, compared with each batch.';
COMMENT ON COLUMN stocketl.fingerprints.checkpoint_id IS 'The checkpoint of the job.';
COMMENT ON COLUMN stocketl.fingerprints.bucket IS
    'A fixed share of the tickers. -1: all that are older than this table.';
COMMENT ON COLUMN stocketl.fingerprints.batch_id IS 'The last batch that changed it.';
COMMENT ON COLUMN stocketl.fingerprints.cells IS 'How many cells it holds.';
COMMENT ON COLUMN stocketl.fingerprints.sum IS 'The sum of their hashes.';
COMMENT ON TABLE stocketl.audits IS 'Comparisons of state, ledger and tables as a whole.';
COMMENT ON COLUMN stocketl.audits.audited_at IS 'When it ended.';
COMMENT ON COLUMN stocketl.audits.batch_id IS 'The last batch before it.';
COMMENT ON COLUMN stocketl.audits.cells IS 'How many cells were compared.';
COMMENT ON COLUMN stocketl.audits.seconds IS 'How long it took.';
COMMENT ON COLUMN stocketl.audits.problem IS 'What does not fit; empty if all fits.';
COMMENT ON TABLE stocketl.profiles IS 'The profiles that have read drops.';
COMMENT ON COLUMN stocketl.profiles.digest IS 'What drops name it by.';
COMMENT ON COLUMN stocketl.profiles.name IS 'Its name in profiles.toml.';
COMMENT ON COLUMN stocketl.profiles.profile IS 'What it says.';
COMMENT ON COLUMN stocketl.profiles.recorded_at IS 'When the first drop was read by it.';
COMMENT ON TABLE stocketl.schema_version IS 'The versions of this schema that were applied.';
COMMENT ON COLUMN stocketl.schema_version.version IS 'The number of the file of SQL.';
COMMENT ON COLUMN stocketl.schema_version.applied_at IS 'When it was applied.';
