-- Dates from a day on: what a batch has changed can be read again without all the years before.

-- What stocketl.expectations says of the sessions from a day on. It reads the six before them, and the newest seven.
CREATE FUNCTION stocketl.expectations_since(day date)
RETURNS TABLE (date date, expected pg_catalog."bit", missing pg_catalog."bit") LANGUAGE sql STABLE STRICT
AS $body$
    WITH padded AS MATERIALIZED (
        SELECT s.date, CASE WHEN length(priced_bits) = width THEN priced_bits
                            ELSE stocketl.widened(priced_bits, width) END AS priced
          FROM stocketl.priced_sessions s
         WHERE s.date >= least(
               expectations_since.day,
               (SELECT min(b.date) FROM (SELECT p.date FROM stocketl.priced_sessions p
                                          WHERE p.date < expectations_since.day ORDER BY p.date DESC LIMIT 6) b),
               (SELECT min(n.date) FROM (SELECT p.date FROM stocketl.priced_sessions p
                                          ORDER BY p.date DESC LIMIT 7) n))
    ), framed AS MATERIALIZED (
        SELECT p.date, priced,
               bit_or(priced) OVER (ORDER BY p.date ROWS BETWEEN 6 PRECEDING AND 1 PRECEDING) AS seen,
               bit_or(priced) OVER (ORDER BY p.date DESC) AS later,
               row_number() OVER (ORDER BY p.date DESC) AS back
          FROM padded p
    ), newest AS (
        SELECT later FROM framed WHERE back <= 7 ORDER BY back DESC LIMIT 1
    )
    SELECT f.date, f.seen & (f.later | n.later), f.seen & (f.later | n.later) & ~f.priced
      FROM framed f, newest n
     WHERE f.date >= expectations_since.day
$body$;

CREATE OR REPLACE VIEW stocketl.expectations AS SELECT date, expected, missing FROM stocketl.expectations_since('-infinity');

-- What stocketl.dates says of the dates from a day on.
CREATE FUNCTION stocketl.dates_since(day date)
RETURNS TABLE (
    date date, state text, tickers integer, expected integer, missing integer, drops bigint, late_cells bigint,
    restated_cells bigint, first_load timestamptz, last_load timestamptz
) LANGUAGE sql STABLE STRICT
AS $body$
    WITH counted AS MATERIALIZED (
        SELECT e.date, stocketl.ones(e.expected) AS expected, stocketl.ones(e.missing) AS missing
          FROM stocketl.expectations_since(dates_since.day) e
    ), empty AS (
        SELECT s.date, coalesce(stocketl.ones((stocketl.expectation(s.date)).expected), 0) AS expected
          FROM stocketl.sessions s
         WHERE s.date >= dates_since.day
           AND s.date BETWEEN (SELECT min(p.date) FROM stocketl.priced_sessions p)
                          AND (SELECT max(p.date) FROM stocketl.priced_sessions p)
           AND NOT EXISTS (SELECT FROM stocketl.date_facts f WHERE f.date = s.date)
    )
    SELECT f.date,
           CASE WHEN c.date IS NULL THEN 'no-session'
                WHEN coalesce(c.missing, 0) = 0 THEN 'complete'
                WHEN 4 * c.missing < c.expected THEN 'short'
                ELSE 'partial' END,
           f.tickers, coalesce(c.expected, 0), coalesce(c.missing, 0),
           CASE WHEN f.counted THEN f.drops END, CASE WHEN f.counted THEN f.late_cells END,
           CASE WHEN f.counted THEN f.restated_cells END, f.first_load, f.last_load
      FROM stocketl.date_facts f LEFT JOIN counted c USING (date)
     WHERE f.date >= dates_since.day
    UNION ALL
    SELECT e.date, 'no-data', 0, e.expected, e.expected, 0, 0, 0, NULL, NULL FROM empty e
$body$;

CREATE OR REPLACE VIEW stocketl.dates AS
SELECT date, state, tickers, expected, missing, drops, late_cells, restated_cells, first_load, last_load
  FROM stocketl.dates_since('-infinity');

COMMENT ON FUNCTION stocketl.expectations_since(date) IS 'The rows of stocketl.expectations from a day on.';
COMMENT ON FUNCTION stocketl.dates_since(date) IS 'The rows of stocketl.dates from a day on: quicker than the view.';
