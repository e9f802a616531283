CREATE SCHEMA stocketl;
CREATE FUNCTION stocketl.series(id text) RETURNS TABLE(date date, price double precision, return double precision, volume bigint)
    LANGUAGE plpgsql STABLE STRICT
    SET search_path TO 'pg_catalog'
    AS $_$
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
$_$;
CREATE TABLE public.prices (
    date date NOT NULL,
    "stk_AAA" double precision,
    "stk_BBB" double precision,
    "stk_BRK.B" double precision,
    "stk_CCC" double precision,
    "stk_DDD" double precision
);
CREATE TABLE public.returns (
    date date NOT NULL,
    "stk_AAA" double precision,
    "stk_BBB" double precision,
    "stk_BRK.B" double precision,
    "stk_CCC" double precision,
    "stk_DDD" double precision
);
CREATE TABLE public.volume (
    date date NOT NULL,
    "stk_AAA" bigint,
    "stk_BBB" bigint,
    "stk_BRK.B" bigint,
    "stk_CCC" bigint,
    "stk_DDD" bigint
);
CREATE TABLE stocketl.audits (
    audited_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    batch_id bigint NOT NULL,
    cells bigint NOT NULL,
    seconds double precision NOT NULL,
    problem text
);
CREATE TABLE stocketl.batches (
    checkpoint_id text NOT NULL,
    batch_id bigint NOT NULL,
    epoch bigint NOT NULL,
    drops bigint NOT NULL,
    digest text NOT NULL,
    cells bigint,
    committed_at timestamp with time zone
);
CREATE TABLE stocketl.drops (
    seq bigint NOT NULL,
    key text NOT NULL,
    etag text NOT NULL,
    version_id text,
    size bigint NOT NULL,
    last_modified timestamp with time zone NOT NULL,
    status text NOT NULL,
    reason text,
    rows_read bigint NOT NULL,
    rows_loaded bigint NOT NULL,
    rows_duplicate bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    first_date date,
    last_date date,
    checkpoint_id text NOT NULL,
    batch_id bigint NOT NULL,
    loaded_at timestamp with time zone,
    content text,
    reading text DEFAULT '1'::text NOT NULL,
    conflicts bigint DEFAULT 0 NOT NULL,
    volume_unreadable bigint DEFAULT 0 NOT NULL,
    rows_passed_over bigint DEFAULT 0 NOT NULL,
    CONSTRAINT drops_check CHECK (((conflicts >= 0) AND (conflicts <= rows_duplicate))),
    CONSTRAINT drops_rows_duplicate_check CHECK ((rows_duplicate >= 0)),
    CONSTRAINT drops_rows_loaded_check CHECK ((rows_loaded >= 0)),
    CONSTRAINT drops_rows_passed_over_check CHECK ((rows_passed_over >= 0)),
    CONSTRAINT drops_rows_read_check CHECK ((rows_read >= 0)),
    CONSTRAINT drops_rows_rejected_check CHECK ((rows_rejected >= 0)),
    CONSTRAINT drops_status_check CHECK ((status = ANY (ARRAY['loading'::text, 'loaded'::text, 'failed'::text]))),
    CONSTRAINT drops_volume_unreadable_check CHECK ((volume_unreadable >= 0)),
    CONSTRAINT failed_has_a_reason CHECK ((((status = 'failed'::text) = (reason IS NOT NULL)) OR (status = 'loading'::text))),
    CONSTRAINT rows_reconcile CHECK ((rows_read = ((rows_loaded + rows_duplicate) + rows_rejected)))
);
CREATE TABLE stocketl.fingerprints (
    checkpoint_id text NOT NULL,
    bucket integer NOT NULL,
    batch_id bigint NOT NULL,
    cells bigint NOT NULL,
    sum bigint NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE stocketl.latest (
    id text NOT NULL,
    date date NOT NULL,
    price double precision NOT NULL,
    return double precision,
    volume bigint
)
WITH (fillfactor='50');
CREATE TABLE stocketl.profiles (
    digest text NOT NULL,
    name text NOT NULL,
    profile jsonb NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE stocketl.readings (
    checkpoint_id text NOT NULL,
    batch_id bigint NOT NULL,
    drops jsonb NOT NULL
);
CREATE TABLE stocketl.receipts (
    seq bigint NOT NULL,
    body jsonb NOT NULL,
    lines jsonb NOT NULL,
    written_at timestamp with time zone,
    moved_to text,
    moved_at timestamp with time zone
);
CREATE TABLE stocketl.schema_version (
    version integer NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE stocketl.tickers (
    id text NOT NULL,
    column_name text NOT NULL,
    table_no integer NOT NULL,
    CONSTRAINT tickers_table_no_check CHECK ((table_no > 0))
);
CREATE TABLE stocketl.writer (
    one_row boolean DEFAULT true NOT NULL,
    epoch bigint NOT NULL,
    host text,
    process_id integer,
    started_at timestamp with time zone,
    wide_schema text NOT NULL,
    CONSTRAINT writer_one_row_check CHECK (one_row)
);
INSERT INTO public.prices VALUES ('2024-01-02', 10.5, 20, NULL, NULL, NULL);
INSERT INTO public.prices VALUES ('2024-01-03', 11, NULL, NULL, NULL, NULL);
INSERT INTO public.prices VALUES ('2024-02-01', 11.25, NULL, 11.25, 11.25, 11.25);
INSERT INTO public.prices VALUES ('2024-02-02', 12.25, NULL, 12.25, 12.25, 12.25);
INSERT INTO public.prices VALUES ('2024-02-03', 13.25, NULL, 13.25, 13.25, 13.25);
INSERT INTO public.prices VALUES ('2024-02-04', 14.25, NULL, 14.25, 14.25, 14.25);
INSERT INTO public.prices VALUES ('2024-02-05', 15.25, NULL, 15.25, 15.25, 15.25);
INSERT INTO public.prices VALUES ('2024-02-06', 16.25, NULL, 16.25, 16.25, 16.25);
INSERT INTO public.prices VALUES ('2024-02-07', 17.25, NULL, 17.25, 17.25, 17.25);
INSERT INTO public.prices VALUES ('2024-02-08', 18.25, NULL, 18.25, 18.25, 18.25);
INSERT INTO public.prices VALUES ('2024-02-09', 19.25, NULL, 19.25, 19.25, 19.25);
INSERT INTO public.prices VALUES ('2024-02-11', 21.25, NULL, 21.25, 21.25, 21.25);
INSERT INTO public.prices VALUES ('2024-02-12', 22.25, NULL, 22.25, 22.25, 22.25);
INSERT INTO public.prices VALUES ('2024-02-13', 23.25, NULL, 23.25, 23.25, 23.25);
INSERT INTO public.prices VALUES ('2024-02-14', 24.25, NULL, 24.25, 24.25, 24.25);
INSERT INTO public.prices VALUES ('2024-02-15', 25.25, NULL, 25.25, 25.25, 25.25);
INSERT INTO public.prices VALUES ('2024-02-16', 26.25, NULL, 26.25, 26.25, 26.25);
INSERT INTO public.prices VALUES ('2024-02-17', 27.25, NULL, 27.25, 27.25, 27.25);
INSERT INTO public.prices VALUES ('2024-02-18', 28.25, NULL, 28.25, 28.25, 28.25);
INSERT INTO public.prices VALUES ('2024-02-19', 29.25, NULL, 29.25, 29.25, 29.25);
INSERT INTO public.prices VALUES ('2024-02-10', 20.25, NULL, 20.25, 20.25, 20.25);
INSERT INTO public.prices VALUES ('2024-02-20', 30.25, NULL, 30.25, 30.25, 30.25);
INSERT INTO public.prices VALUES ('2024-02-21', 31.25, NULL, 31.25, 31.25, 31.25);
INSERT INTO public.prices VALUES ('2024-02-22', 32.25, NULL, 32.25, 32.25, 32.25);
INSERT INTO public.prices VALUES ('2024-02-23', 33.25, NULL, 33.25, 33.25, 33.25);
INSERT INTO public.prices VALUES ('2024-02-24', 34.25, NULL, 34.25, 34.25, 34.25);
INSERT INTO public.prices VALUES ('2024-02-25', 35.25, NULL, 35.25, 35.25, 35.25);
INSERT INTO public.prices VALUES ('2024-02-26', 36.25, NULL, 36.25, 36.25, 36.25);
INSERT INTO public.prices VALUES ('2024-02-27', 37.25, NULL, 37.25, 37.25, 37.25);
INSERT INTO public.prices VALUES ('2024-02-28', 38.25, NULL, 38.25, 38.25, 38.25);
INSERT INTO public.returns VALUES ('2024-01-02', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.returns VALUES ('2024-01-03', 0.04761904761904767, NULL, NULL, NULL, NULL);
INSERT INTO public.returns VALUES ('2024-02-01', 0.022727272727272707, NULL, NULL, NULL, NULL);
INSERT INTO public.returns VALUES ('2024-02-02', 0.0888888888888888, NULL, 0.0888888888888888, 0.0888888888888888, 0.0888888888888888);
INSERT INTO public.returns VALUES ('2024-02-03', 0.08163265306122458, NULL, 0.08163265306122458, 0.08163265306122458, 0.08163265306122458);
INSERT INTO public.returns VALUES ('2024-02-04', 0.07547169811320753, NULL, 0.07547169811320753, 0.07547169811320753, 0.07547169811320753);
INSERT INTO public.returns VALUES ('2024-02-05', 0.07017543859649122, NULL, 0.07017543859649122, 0.07017543859649122, 0.07017543859649122);
INSERT INTO public.returns VALUES ('2024-02-06', 0.06557377049180335, NULL, 0.06557377049180335, 0.06557377049180335, 0.06557377049180335);
INSERT INTO public.returns VALUES ('2024-02-07', 0.06153846153846154, NULL, 0.06153846153846154, 0.06153846153846154, 0.06153846153846154);
INSERT INTO public.returns VALUES ('2024-02-08', 0.05797101449275366, NULL, 0.05797101449275366, 0.05797101449275366, 0.05797101449275366);
INSERT INTO public.returns VALUES ('2024-02-09', 0.0547945205479452, NULL, 0.0547945205479452, 0.0547945205479452, 0.0547945205479452);
INSERT INTO public.returns VALUES ('2024-02-11', 0.04938271604938271, NULL, 0.04938271604938271, 0.04938271604938271, 0.04938271604938271);
INSERT INTO public.returns VALUES ('2024-02-12', 0.04705882352941182, NULL, 0.04705882352941182, 0.04705882352941182, 0.04705882352941182);
INSERT INTO public.returns VALUES ('2024-02-13', 0.04494382022471921, NULL, 0.04494382022471921, 0.04494382022471921, 0.04494382022471921);
INSERT INTO public.returns VALUES ('2024-02-14', 0.043010752688172005, NULL, 0.043010752688172005, 0.043010752688172005, 0.043010752688172005);
INSERT INTO public.returns VALUES ('2024-02-15', 0.04123711340206193, NULL, 0.04123711340206193, 0.04123711340206193, 0.04123711340206193);
INSERT INTO public.returns VALUES ('2024-02-16', 0.03960396039603964, NULL, 0.03960396039603964, 0.03960396039603964, 0.03960396039603964);
INSERT INTO public.returns VALUES ('2024-02-17', 0.03809523809523818, NULL, 0.03809523809523818, 0.03809523809523818, 0.03809523809523818);
INSERT INTO public.returns VALUES ('2024-02-18', 0.03669724770642202, NULL, 0.03669724770642202, 0.03669724770642202, 0.03669724770642202);
INSERT INTO public.returns VALUES ('2024-02-19', 0.03539823008849563, NULL, 0.03539823008849563, 0.03539823008849563, 0.03539823008849563);
INSERT INTO public.returns VALUES ('2024-02-10', 0.051948051948051965, NULL, 0.051948051948051965, 0.051948051948051965, 0.051948051948051965);
INSERT INTO public.returns VALUES ('2024-02-20', 0.03418803418803429, NULL, 0.03418803418803429, 0.03418803418803429, 0.03418803418803429);
INSERT INTO public.returns VALUES ('2024-02-21', 0.03305785123966931, NULL, 0.03305785123966931, 0.03305785123966931, 0.03305785123966931);
INSERT INTO public.returns VALUES ('2024-02-22', 0.03200000000000003, NULL, 0.03200000000000003, 0.03200000000000003, 0.03200000000000003);
INSERT INTO public.returns VALUES ('2024-02-23', 0.03100775193798455, NULL, 0.03100775193798455, 0.03100775193798455, 0.03100775193798455);
INSERT INTO public.returns VALUES ('2024-02-24', 0.03007518796992481, NULL, 0.03007518796992481, 0.03007518796992481, 0.03007518796992481);
INSERT INTO public.returns VALUES ('2024-02-25', 0.029197080291970767, NULL, 0.029197080291970767, 0.029197080291970767, 0.029197080291970767);
INSERT INTO public.returns VALUES ('2024-02-26', 0.028368794326241176, NULL, 0.028368794326241176, 0.028368794326241176, 0.028368794326241176);
INSERT INTO public.returns VALUES ('2024-02-27', 0.02758620689655178, NULL, 0.02758620689655178, 0.02758620689655178, 0.02758620689655178);
INSERT INTO public.returns VALUES ('2024-02-28', 0.02684563758389258, NULL, 0.02684563758389258, 0.02684563758389258, 0.02684563758389258);
INSERT INTO public.volume VALUES ('2024-01-02', 100, NULL, NULL, NULL, NULL);
INSERT INTO public.volume VALUES ('2024-01-03', 7, NULL, NULL, NULL, NULL);
INSERT INTO public.volume VALUES ('2024-02-01', 100, NULL, 100, 100, 100);
INSERT INTO public.volume VALUES ('2024-02-02', 200, NULL, 200, 200, 200);
INSERT INTO public.volume VALUES ('2024-02-03', 300, NULL, 300, 300, 300);
INSERT INTO public.volume VALUES ('2024-02-04', 400, NULL, 400, 400, 400);
INSERT INTO public.volume VALUES ('2024-02-05', 500, NULL, 500, 500, 500);
INSERT INTO public.volume VALUES ('2024-02-06', 600, NULL, 600, 600, 600);
INSERT INTO public.volume VALUES ('2024-02-07', 700, NULL, 700, 700, 700);
INSERT INTO public.volume VALUES ('2024-02-08', 800, NULL, 800, 800, 800);
INSERT INTO public.volume VALUES ('2024-02-09', 900, NULL, 900, 900, 900);
INSERT INTO public.volume VALUES ('2024-02-11', 1100, NULL, 1100, 1100, 1100);
INSERT INTO public.volume VALUES ('2024-02-12', 1200, NULL, 1200, 1200, 1200);
INSERT INTO public.volume VALUES ('2024-02-13', 1300, NULL, 1300, 1300, 1300);
INSERT INTO public.volume VALUES ('2024-02-14', 1400, NULL, 1400, 1400, 1400);
INSERT INTO public.volume VALUES ('2024-02-15', 1500, NULL, 1500, 1500, 1500);
INSERT INTO public.volume VALUES ('2024-02-16', 1600, NULL, 1600, 1600, 1600);
INSERT INTO public.volume VALUES ('2024-02-17', 1700, NULL, 1700, 1700, 1700);
INSERT INTO public.volume VALUES ('2024-02-18', 1800, NULL, 1800, 1800, 1800);
INSERT INTO public.volume VALUES ('2024-02-19', 1900, NULL, 1900, 1900, 1900);
INSERT INTO public.volume VALUES ('2024-02-10', 1000, NULL, 1000, 1000, 1000);
INSERT INTO public.volume VALUES ('2024-02-20', 2000, NULL, 2000, 2000, 2000);
INSERT INTO public.volume VALUES ('2024-02-21', 2100, NULL, 2100, 2100, 2100);
INSERT INTO public.volume VALUES ('2024-02-22', 2200, NULL, 2200, 2200, 2200);
INSERT INTO public.volume VALUES ('2024-02-23', 2300, NULL, 2300, 2300, 2300);
INSERT INTO public.volume VALUES ('2024-02-24', 2400, NULL, 2400, 2400, 2400);
INSERT INTO public.volume VALUES ('2024-02-25', 2500, NULL, 2500, 2500, 2500);
INSERT INTO public.volume VALUES ('2024-02-26', 2600, NULL, 2600, 2600, 2600);
INSERT INTO public.volume VALUES ('2024-02-27', 2700, NULL, 2700, 2700, 2700);
INSERT INTO public.volume VALUES ('2024-02-28', 2800, NULL, 2800, 2800, 2800);
INSERT INTO stocketl.audits VALUES ('2026-11-28 12:01:00+00', 4, 5, 0.5, NULL);
INSERT INTO stocketl.batches VALUES ('0fa9b6c876234b54896c1891819e0417', 0, 1, 2, 'f09fd75a344e3b143559aec757e0c69ff7907f611dd417de3abab047bd85cfb6', 6, '2026-11-28 11:08:06.156228+00');
INSERT INTO stocketl.batches VALUES ('0fa9b6c876234b54896c1891819e0417', 1, 1, 1, '18473ffac30b7e966cd16362742e863c93199667d931b14cf1865a341b62f9af', 114, '2026-11-28 11:08:09.689565+00');
INSERT INTO stocketl.batches VALUES ('0fa9b6c876234b54896c1891819e0417', 2, 1, 1, 'c9d90cdda583869ee217c596c8ce9aad92853ae1bc64b3fe11133c8b42f5a017', 111, '2026-11-28 11:08:11.937432+00');
INSERT INTO stocketl.batches VALUES ('0fa9b6c876234b54896c1891819e0417', 3, 1, 1, '473be77ef0223b919a9df336f6dbb18d073cf7654b51e44334f5121ba4ce9130', 108, '2026-11-28 11:08:13.712901+00');
INSERT INTO stocketl.batches VALUES ('0fa9b6c876234b54896c1891819e0417', 4, 1, 1, 'digest-4', 1, '2026-11-28 11:09:13.712901+00');
INSERT INTO stocketl.drops VALUES (1, 'a.csv', '1704067201000000000.99.10081185', NULL, 99, '2024-01-01 00:00:01+00', 'loaded', NULL, 4, 3, 0, 1, '2024-01-02', '2024-01-03', '0fa9b6c876234b54896c1891819e0417', 0, '2026-11-28 11:08:06.154123+00', NULL, '1', 0, 0, 0);
INSERT INTO stocketl.drops VALUES (2, 'b.csv', '1704067202000000000.24.10081201', NULL, 24, '2024-01-01 00:00:02+00', 'failed', 'the header lacks ''id'' (also ticker, symbol), ''trade_volume'' (also volume); got ''date,price''', 0, 0, 0, 0, NULL, NULL, '0fa9b6c876234b54896c1891819e0417', 0, '2026-11-28 11:08:06.154123+00', NULL, '1', 0, 0, 0);
INSERT INTO stocketl.drops VALUES (3, 'c.csv', '1704067203000000000.2959.10081545', NULL, 2959, '2024-01-01 00:00:03+00', 'loaded', NULL, 112, 112, 0, 0, '2024-02-01', '2024-02-28', '0fa9b6c876234b54896c1891819e0417', 3, '2026-11-28 11:08:13.702281+00', NULL, '1', 0, 0, 0);
INSERT INTO stocketl.drops VALUES (4, 'late.csv', '1704067203000000000.2959.10081545', NULL, 2959, '2024-01-01 00:00:03+00', 'loaded', NULL, 2, 1, 0, 1, '2024-02-01', '2024-02-28', '0fa9b6c876234b54896c1891819e0417', 4, '2026-11-28 11:08:13.702281+00', '00c0ffee00c0ffee', '1', 0, 0, 0);
INSERT INTO stocketl.fingerprints VALUES ('0fa9b6c876234b54896c1891819e0417', -1, 3, 0, 0);
INSERT INTO stocketl.fingerprints VALUES ('0fa9b6c876234b54896c1891819e0417', 0, 4, 5, 123456789);
INSERT INTO stocketl.latest VALUES ('BBB', '2024-01-02', 20, NULL, NULL);
INSERT INTO stocketl.latest VALUES ('DDD', '2024-02-28', 38.25, 0.02684563758389258, 2800);
INSERT INTO stocketl.latest VALUES ('BRK.B', '2024-02-28', 38.25, 0.02684563758389258, 2800);
INSERT INTO stocketl.latest VALUES ('AAA', '2024-02-28', 38.25, 0.02684563758389258, 2800);
INSERT INTO stocketl.latest VALUES ('CCC', '2024-02-28', 38.25, 0.02684563758389258, 2800);
INSERT INTO stocketl.profiles VALUES ('0123456789abcdef', 'nse', '{"name": "nse", "files": "nse/*.csv"}', '2026-11-28 19:00:00+00');
INSERT INTO stocketl.readings VALUES ('0fa9b6c876234b54896c1891819e0417', 3, '{"3": {"lines": 36}}');
INSERT INTO stocketl.readings VALUES ('0fa9b6c876234b54896c1891819e0417', 4, '{"4": {"lines": 3, "content": "00c0ffee00c0ffee", "rows_read": 2, "rows_rejected": 1}}');
INSERT INTO stocketl.receipts VALUES (1, '{"key": "a.csv", "seq": 1, "etag": "1704067201000000000.99.10081185", "fate": "success", "size": 99, "reason": null, "status": "loaded", "ignored": [], "reasons": {"wrong-number-of-fields": 1}, "rejects": [{"line": 5, "text": "nonsense", "reason": "wrong-number-of-fields"}], "batch_id": 0, "last_date": "2024-01-03", "loaded_at": "2026-11-28T11:08:06.154123+00:00", "rows_read": 4, "first_date": "2024-01-02", "version_id": null, "rows_loaded": 3, "checkpoint_id": "0fa9b6c876234b54896c1891819e0417", "last_modified": "2024-01-01T00:00:01.000000+00:00", "rows_rejected": 1, "rows_duplicate": 0}', '{"0": 5}', '2026-11-28 11:08:06.866683+00', 'a.csv', '2026-11-28 11:08:06.920177+00');
INSERT INTO stocketl.receipts VALUES (2, '{"key": "b.csv", "seq": 2, "etag": "1704067202000000000.24.10081201", "fate": "failed", "size": 24, "reason": "the header lacks ''id'' (also ticker, symbol), ''trade_volume'' (also volume); got ''date,price''", "status": "failed", "ignored": [], "reasons": {}, "rejects": [], "batch_id": 0, "last_date": null, "loaded_at": "2026-11-28T11:08:06.154123+00:00", "rows_read": 0, "first_date": null, "version_id": null, "rows_loaded": 0, "checkpoint_id": "0fa9b6c876234b54896c1891819e0417", "last_modified": "2024-01-01T00:00:02.000000+00:00", "rows_rejected": 0, "rows_duplicate": 0}', '{"0": 0}', '2026-11-28 11:08:06.869253+00', 'b.csv', '2026-11-28 11:08:06.920366+00');
INSERT INTO stocketl.receipts VALUES (3, '{"key": "c.csv", "seq": 3, "etag": "1704067203000000000.2959.10081545", "fate": "success", "size": 2959, "reason": null, "status": "loaded", "ignored": [], "reasons": {}, "rejects": [], "batch_id": 3, "last_date": "2024-02-28", "loaded_at": "2026-11-28T11:08:13.702281+00:00", "rows_read": 112, "first_date": "2024-02-01", "version_id": null, "rows_loaded": 112, "checkpoint_id": "0fa9b6c876234b54896c1891819e0417", "last_modified": "2024-01-01T00:00:03.000000+00:00", "rows_rejected": 0, "rows_duplicate": 0}', '{"1": 40, "2": 37, "3": 36}', '2026-11-28 11:08:13.829986+00', 'c.csv', '2026-11-28 11:08:13.835782+00');
INSERT INTO stocketl.receipts VALUES (4, '{"key": "late.csv", "seq": 4, "etag": "1704067203000000000.2959.10081545", "fate": "success", "size": 2959, "reason": null, "status": "loaded", "content": "00c0ffee00c0ffee", "ignored": [], "reasons": {"bad-volume": 1}, "rejects": [{"line": 3, "text": "2024-01-05,AAA,1,N/A", "reason": "bad-volume"}], "batch_id": 4, "last_date": "2024-02-28", "loaded_at": "2026-11-28T11:08:13.702281+00:00", "rows_read": 2, "first_date": "2024-02-01", "version_id": null, "rows_loaded": 1, "checkpoint_id": "0fa9b6c876234b54896c1891819e0417", "last_modified": "2024-01-01T00:00:03.000000+00:00", "rows_rejected": 1, "rows_duplicate": 0}', '{"4": 3}', '2026-11-28 12:00:00+00', NULL, NULL);
INSERT INTO stocketl.schema_version VALUES (2, '2026-11-28 18:35:13.526481+00');
INSERT INTO stocketl.schema_version VALUES (3, '2026-11-29 01:36:18.137621+00');
INSERT INTO stocketl.tickers VALUES ('AAA', 'stk_AAA', 1);
INSERT INTO stocketl.tickers VALUES ('BBB', 'stk_BBB', 1);
INSERT INTO stocketl.tickers VALUES ('BRK.B', 'stk_BRK.B', 1);
INSERT INTO stocketl.tickers VALUES ('CCC', 'stk_CCC', 1);
INSERT INTO stocketl.tickers VALUES ('DDD', 'stk_DDD', 1);
INSERT INTO stocketl.writer VALUES (true, 1, 'host', 26240, '2026-11-28 11:07:08.136614+00', 'public');
ALTER TABLE ONLY public.prices
    ADD CONSTRAINT prices_pkey PRIMARY KEY (date);
ALTER TABLE ONLY public.returns
    ADD CONSTRAINT returns_pkey PRIMARY KEY (date);
ALTER TABLE ONLY public.volume
    ADD CONSTRAINT volume_pkey PRIMARY KEY (date);
ALTER TABLE ONLY stocketl.audits
    ADD CONSTRAINT audits_pkey PRIMARY KEY (audited_at);
ALTER TABLE ONLY stocketl.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (checkpoint_id, batch_id);
ALTER TABLE ONLY stocketl.drops
    ADD CONSTRAINT drops_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY stocketl.fingerprints
    ADD CONSTRAINT fingerprints_pkey PRIMARY KEY (checkpoint_id, bucket);
ALTER TABLE ONLY stocketl.latest
    ADD CONSTRAINT latest_pkey PRIMARY KEY (id);
ALTER TABLE ONLY stocketl.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY stocketl.readings
    ADD CONSTRAINT readings_pkey PRIMARY KEY (checkpoint_id, batch_id);
ALTER TABLE ONLY stocketl.receipts
    ADD CONSTRAINT receipts_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY stocketl.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY stocketl.tickers
    ADD CONSTRAINT tickers_column_name_key UNIQUE (column_name);
ALTER TABLE ONLY stocketl.tickers
    ADD CONSTRAINT tickers_pkey PRIMARY KEY (id);
ALTER TABLE ONLY stocketl.writer
    ADD CONSTRAINT writer_pkey PRIMARY KEY (one_row);
CREATE INDEX drops_by_batch ON stocketl.drops USING btree (checkpoint_id, batch_id);
CREATE INDEX drops_by_key ON stocketl.drops USING btree (key);
CREATE INDEX receipts_unmoved ON stocketl.receipts USING btree (seq) WHERE (moved_at IS NULL);
CREATE INDEX receipts_unwritten ON stocketl.receipts USING btree (seq) WHERE (written_at IS NULL);
ALTER TABLE ONLY stocketl.receipts
    ADD CONSTRAINT receipts_seq_fkey FOREIGN KEY (seq) REFERENCES stocketl.drops(seq);
