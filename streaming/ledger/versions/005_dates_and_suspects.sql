-- What each date has, and which cells are worth a look: kept up in the transaction of each batch.

-- The place of each ticker in the bit strings below.
CREATE TABLE stocketl.ticker_bits (
    id  text PRIMARY KEY,
    bit integer NOT NULL UNIQUE CHECK (bit >= 0)
);

-- By date: how many tickers have a price, and how many of these the price of their date before; then which ones, as bit
-- strings of any length. drops: how many have given rows of this date, from first_seq to last_seq. counted: false if the
-- row was made from the tables, so that nothing is known of the drops.
CREATE TABLE stocketl.date_facts (
    date           date PRIMARY KEY,
    tickers        integer NOT NULL,
    unchanged      integer NOT NULL,
    priced_bits    bit varying NOT NULL,
    unchanged_bits bit varying NOT NULL,
    drops          bigint NOT NULL,
    first_seq      bigint NOT NULL,
    last_seq       bigint NOT NULL,
    late_cells     bigint NOT NULL,
    restated_cells bigint NOT NULL,
    counted        boolean NOT NULL DEFAULT true,
    first_load     timestamptz,
    last_load      timestamptz
) WITH (fillfactor = 70);

-- The days on which the calendar of `--calendar` has a session; empty without one.
CREATE TABLE stocketl.sessions (
    date     date PRIMARY KEY,
    calendar text NOT NULL
);

-- Dates that were not complete by the time of `--expect-by`. done_at: when they were, or when it no longer mattered.
CREATE TABLE stocketl.overdue_dates (
    date    date PRIMARY KEY,
    due_at  timestamptz NOT NULL,
    told    text,
    done_at timestamptz
);

CREATE TABLE stocketl.suspect_cells (
    date         date NOT NULL,
    id           text NOT NULL,
    kind         text NOT NULL,
    price        double precision NOT NULL,
    level_date   date NOT NULL,
    level        double precision NOT NULL,
    swapped_with text,
    PRIMARY KEY (date, id)
);

-- Which of these tables are kept up (`--explain`), and by which limits.
CREATE TABLE stocketl.explained (
    part   text PRIMARY KEY,
    limits text NOT NULL
);

-- How many bits are set; a version of PostgreSQL before 14 has no bit_count.
DO $do$
BEGIN
    EXECUTE 'CREATE FUNCTION stocketl.ones(bits bit varying) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS '
        || CASE WHEN current_setting('server_version_num')::integer >= 140000
                THEN '$$ SELECT bit_count(bits)::integer $$'
                ELSE '$$ SELECT length(replace(bits::text, ''0'', '''')) $$' END;
END
$do$;

-- A bit string with zeros up to a length.
CREATE FUNCTION stocketl.widened(bits bit varying, width integer) RETURNS bit varying LANGUAGE sql IMMUTABLE STRICT
AS 'SELECT bits || repeat(''0'', width - length(bits))::bit varying';

-- The dates that count as sessions: those with a price, and on which the calendar has a session if there is one.
CREATE VIEW stocketl.priced_sessions AS
SELECT f.date, f.priced_bits, w.width
  FROM stocketl.date_facts f, (SELECT max(length(priced_bits)) AS width FROM stocketl.date_facts) w
 WHERE f.tickers > 0
   AND (NOT EXISTS (SELECT FROM stocketl.sessions)
        OR EXISTS (SELECT FROM stocketl.sessions s WHERE s.date = f.date));

-- By session: the tickers that were expected, and those of them without a price. A ticker is expected if it had a price
-- in the last six sessions and has not ended: it has one later, or the newest six sessions leave that open.
CREATE VIEW stocketl.expectations AS
WITH padded AS MATERIALIZED (
    SELECT date, stocketl.widened(priced_bits, width) AS priced FROM stocketl.priced_sessions
), framed AS MATERIALIZED (
    SELECT date, priced,
           bit_or(priced) OVER (ORDER BY date ROWS BETWEEN 6 PRECEDING AND 1 PRECEDING) AS seen,
           bit_or(priced) OVER (ORDER BY date DESC) AS later,
           row_number() OVER (ORDER BY date DESC) AS back
      FROM padded
), newest AS (
    SELECT later FROM framed WHERE back <= 7 ORDER BY back DESC LIMIT 1
)
SELECT f.date, f.seen & (f.later | n.later) AS expected, f.seen & (f.later | n.later) & ~f.priced AS missing
  FROM framed f, newest n;

-- The same for one date, which may be one without data. On a day without a session nothing is expected.
CREATE FUNCTION stocketl.expectation(day date, OUT expected bit varying, OUT missing bit varying)
LANGUAGE sql STABLE STRICT
AS $body$
    WITH seen AS (
        SELECT bit_or(stocketl.widened(priced_bits, width)) AS bits
          FROM (SELECT * FROM stocketl.priced_sessions s WHERE s.date < expectation.day
                 ORDER BY s.date DESC LIMIT 6) six
    ), alive AS (
        SELECT bit_or(stocketl.widened(priced_bits, width)) AS bits FROM stocketl.priced_sessions
         WHERE date >= least(expectation.day, (
               SELECT min(date) FROM (SELECT date FROM stocketl.priced_sessions ORDER BY date DESC LIMIT 7) seven))
    ), own AS (
        SELECT bit_or(stocketl.widened(priced_bits, width)) AS bits FROM stocketl.priced_sessions
         WHERE date = expectation.day
    )
    SELECT seen.bits & alive.bits, seen.bits & alive.bits & coalesce(~own.bits, seen.bits) FROM seen, alive, own
     WHERE NOT EXISTS (SELECT FROM stocketl.sessions)
        OR EXISTS (SELECT FROM stocketl.sessions s WHERE s.date = expectation.day)
$body$;

CREATE VIEW stocketl.dates AS
WITH counted AS MATERIALIZED (
    SELECT date, stocketl.ones(expected) AS expected, stocketl.ones(missing) AS missing FROM stocketl.expectations
), empty AS (
    SELECT s.date, coalesce(stocketl.ones((stocketl.expectation(s.date)).expected), 0) AS expected
      FROM stocketl.sessions s
     WHERE s.date BETWEEN (SELECT min(date) FROM stocketl.priced_sessions)
                      AND (SELECT max(date) FROM stocketl.priced_sessions)
       AND NOT EXISTS (SELECT FROM stocketl.date_facts f WHERE f.date = s.date)
)
SELECT f.date,
       CASE WHEN c.date IS NULL THEN 'no-session'
            WHEN coalesce(c.missing, 0) = 0 THEN 'complete'
            WHEN 4 * c.missing < c.expected THEN 'short'
            ELSE 'partial' END AS state,
       f.tickers, coalesce(c.expected, 0) AS expected, coalesce(c.missing, 0) AS missing,
       CASE WHEN f.counted THEN f.drops END AS drops, CASE WHEN f.counted THEN f.late_cells END AS late_cells,
       CASE WHEN f.counted THEN f.restated_cells END AS restated_cells, f.first_load, f.last_load
  FROM stocketl.date_facts f LEFT JOIN counted c USING (date)
UNION ALL
SELECT date, 'no-data', 0, expected, expected, 0, 0, 0, NULL, NULL FROM empty;

-- The places of the bits that are set: quick where they are few.
CREATE FUNCTION stocketl.places(bits bit varying) RETURNS SETOF integer LANGUAGE sql IMMUTABLE STRICT
AS $body$
    SELECT (sum(length(zeros) + 1) OVER (ORDER BY nth) - 1)::integer
      FROM unnest(string_to_array(bits::text, '1')) WITH ORDINALITY AS runs (zeros, nth) ORDER BY nth
     LIMIT stocketl.ones(bits)
$body$;

-- The expected tickers of a date that have no price.
CREATE FUNCTION stocketl.missing(day date) RETURNS SETOF text LANGUAGE sql STABLE STRICT
AS $body$
    SELECT t.id
      FROM stocketl.expectation(missing.day) e, stocketl.places(e.missing) place
      JOIN stocketl.ticker_bits t ON t.bit = place
     ORDER BY t.id COLLATE "C"
$body$;

-- The same for all sessions with data.
CREATE VIEW stocketl.missing_tickers AS
SELECT e.date, t.id
  FROM (SELECT * FROM stocketl.expectations WHERE stocketl.ones(missing) > 0 OFFSET 0) e
 CROSS JOIN LATERAL stocketl.places(e.missing) place
  JOIN stocketl.ticker_bits t ON t.bit = place;

-- Cells worth a look, and whole dates (id null). A date is in the future if it has begun nowhere on earth.
CREATE VIEW stocketl.suspects AS
SELECT date, id, CASE WHEN swapped_with IS NULL THEN kind ELSE 'swapped' END AS kind, price,
       level_date, level, price / level AS ratio, swapped_with, 1 AS cells
  FROM stocketl.suspect_cells
UNION ALL
SELECT date, NULL, 'repeated-date', NULL, NULL, NULL, NULL, NULL, unchanged
  FROM stocketl.date_facts WHERE unchanged >= 10 AND 10 * unchanged >= 9 * tickers
UNION ALL
SELECT date, NULL, 'future-date', NULL, NULL, NULL, NULL, NULL, tickers
  FROM stocketl.date_facts WHERE tickers > 0 AND date > (clock_timestamp() AT TIME ZONE 'Etc/GMT-14')::date;

COMMENT ON TABLE stocketl.ticker_bits IS 'The place of each ticker in the bit strings of stocketl.date_facts.';
COMMENT ON COLUMN stocketl.ticker_bits.id IS 'The ticker.';
COMMENT ON COLUMN stocketl.ticker_bits.bit IS 'Its place: 0 is the first bit.';
COMMENT ON TABLE stocketl.date_facts IS 'What each date has, kept up by each batch. The view stocketl.dates shows it.';
COMMENT ON COLUMN stocketl.date_facts.date IS 'The day.';
COMMENT ON COLUMN stocketl.date_facts.tickers IS 'How many tickers have a price.';
COMMENT ON COLUMN stocketl.date_facts.unchanged IS 'How many of these have the price of their date before.';
COMMENT ON COLUMN stocketl.date_facts.priced_bits IS 'Which tickers have a price.';
COMMENT ON COLUMN stocketl.date_facts.unchanged_bits IS 'Which of these have the price of their date before.';
COMMENT ON COLUMN stocketl.date_facts.drops IS 'How many drops gave rows of the date.';
COMMENT ON COLUMN stocketl.date_facts.first_seq IS 'The first of these drops.';
COMMENT ON COLUMN stocketl.date_facts.last_seq IS 'The last of these drops.';
COMMENT ON COLUMN stocketl.date_facts.late_cells IS
    'Prices that came in a later drop than the first price of a later date.';
COMMENT ON COLUMN stocketl.date_facts.restated_cells IS
    'How often a drop gave a cell of the date another price or volume.';
COMMENT ON COLUMN stocketl.date_facts.counted IS
    'Whether the drops were counted: no, if the row was made from the wide tables.';
COMMENT ON COLUMN stocketl.date_facts.first_load IS 'When the first batch with rows of the date was written.';
COMMENT ON COLUMN stocketl.date_facts.last_load IS 'When the last batch with rows of the date was written.';
COMMENT ON TABLE stocketl.sessions IS 'The days on which the exchange of --calendar is open; empty without one.';
COMMENT ON COLUMN stocketl.sessions.date IS 'The day.';
COMMENT ON COLUMN stocketl.sessions.calendar IS 'The code of the exchange.';
COMMENT ON TABLE stocketl.overdue_dates IS 'Dates that were not complete by the time of --expect-by.';
COMMENT ON COLUMN stocketl.overdue_dates.date IS 'The day.';
COMMENT ON COLUMN stocketl.overdue_dates.due_at IS 'When it was to be complete.';
COMMENT ON COLUMN stocketl.overdue_dates.told IS 'What the webhook was told last.';
COMMENT ON COLUMN stocketl.overdue_dates.done_at IS 'When it was complete, or no longer waited for.';
COMMENT ON TABLE stocketl.suspect_cells IS 'Single prices worth a look. The view stocketl.suspects shows them.';
COMMENT ON COLUMN stocketl.suspect_cells.date IS 'The day of the price.';
COMMENT ON COLUMN stocketl.suspect_cells.id IS 'The ticker.';
COMMENT ON COLUMN stocketl.suspect_cells.kind IS 'What is odd about it.';
COMMENT ON COLUMN stocketl.suspect_cells.price IS 'The price.';
COMMENT ON COLUMN stocketl.suspect_cells.level_date IS 'The day of the price that it is compared with.';
COMMENT ON COLUMN stocketl.suspect_cells.level IS 'The price that it is compared with.';
COMMENT ON COLUMN stocketl.suspect_cells.swapped_with IS 'The ticker whose price it has, and that has its price.';
COMMENT ON TABLE stocketl.explained IS 'Which tables beside the wide ones are kept, as --explain said at the last start.';
COMMENT ON COLUMN stocketl.explained.part IS 'The table, as --explain names it.';
COMMENT ON COLUMN stocketl.explained.limits IS 'The limits by which it was made.';
COMMENT ON FUNCTION stocketl.ones(bit varying) IS 'How many bits are set.';
COMMENT ON FUNCTION stocketl.widened(bit varying, integer) IS 'A bit string with zeros up to a length.';
COMMENT ON FUNCTION stocketl.places(bit varying) IS 'The places of the bits that are set.';
COMMENT ON FUNCTION stocketl.expectation(date) IS 'The row of stocketl.expectations of one date, also of one without data.';
COMMENT ON FUNCTION stocketl.missing(date) IS 'The tickers that were expected on a date and have no price.';
COMMENT ON VIEW stocketl.priced_sessions IS 'The dates that count as sessions and have a price.';
COMMENT ON COLUMN stocketl.priced_sessions.date IS 'The day.';
COMMENT ON COLUMN stocketl.priced_sessions.priced_bits IS 'Which tickers have a price.';
COMMENT ON COLUMN stocketl.priced_sessions.width IS 'The length of the longest bit string.';
COMMENT ON VIEW stocketl.expectations IS 'Which tickers were expected on each session, and which are missing.';
COMMENT ON COLUMN stocketl.expectations.date IS 'The day.';
COMMENT ON COLUMN stocketl.expectations.expected IS 'Which tickers were expected, as bits.';
COMMENT ON COLUMN stocketl.expectations.missing IS 'Which of these have no price, as bits.';
COMMENT ON VIEW stocketl.dates IS 'What each date has and what is missing.';
COMMENT ON COLUMN stocketl.dates.date IS 'The day.';
COMMENT ON COLUMN stocketl.dates.state IS 'complete, short, partial, no-data or no-session.';
COMMENT ON COLUMN stocketl.dates.tickers IS 'How many tickers have a price.';
COMMENT ON COLUMN stocketl.dates.expected IS 'How many had one in the last six sessions and have not ended.';
COMMENT ON COLUMN stocketl.dates.missing IS 'How many of the expected ones have no price.';
COMMENT ON COLUMN stocketl.dates.drops IS 'How many drops gave rows of the date; empty: not known.';
COMMENT ON COLUMN stocketl.dates.late_cells IS
    'Prices that came in a later drop than the first price of a later date; empty: not known.';
COMMENT ON COLUMN stocketl.dates.restated_cells IS
    'How often a drop gave a cell of the date another price or volume; empty: not known.';
COMMENT ON COLUMN stocketl.dates.first_load IS 'When the first batch with rows of the date was written.';
COMMENT ON COLUMN stocketl.dates.last_load IS 'When the last batch with rows of the date was written.';
COMMENT ON VIEW stocketl.missing_tickers IS 'The tickers that were expected and have no price, of all sessions with data.';
COMMENT ON COLUMN stocketl.missing_tickers.date IS 'The day.';
COMMENT ON COLUMN stocketl.missing_tickers.id IS 'The ticker.';
COMMENT ON VIEW stocketl.suspects IS 'Prices, and whole dates, that are worth a look.';
COMMENT ON COLUMN stocketl.suspects.date IS 'The day.';
COMMENT ON COLUMN stocketl.suspects.id IS 'The ticker; empty: the whole date.';
COMMENT ON COLUMN stocketl.suspects.kind IS
    'What is odd: jump, unit-slip, split?, spike, swapped, stale, repeated-date or future-date.';
COMMENT ON COLUMN stocketl.suspects.price IS 'The price.';
COMMENT ON COLUMN stocketl.suspects.level_date IS 'The day of the price that it is compared with.';
COMMENT ON COLUMN stocketl.suspects.level IS 'The price that it is compared with.';
COMMENT ON COLUMN stocketl.suspects.ratio IS 'The price divided by that one.';
COMMENT ON COLUMN stocketl.suspects.swapped_with IS 'The ticker whose price it has, and that has its price.';
COMMENT ON COLUMN stocketl.suspects.cells IS 'How many prices it is about.';
