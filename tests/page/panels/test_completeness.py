"""How complete dates are: by the job's own table, or counted."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING

import psycopg2
from loaded_home import LoadedHome

from streaming.page.panels.completeness import CountedDates, missing
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "date,id,price,trade_volume\n"
DAY = dt.date(2024, 3, 4)
KEPT = """
    CREATE SCHEMA stocketl;
    CREATE TABLE stocketl.explained AS SELECT 'dates' AS part;
    CREATE TABLE stocketl.dates (
        date date, state text, tickers integer, expected integer, missing integer, late_cells bigint,
        restated_cells bigint
    );
    INSERT INTO stocketl.dates VALUES ('2024-03-04', 'short', 2, 3, 1, 0, 4);
    CREATE FUNCTION stocketl.missing(day date) RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'MSFT' $$;
"""


def test_what_the_job_keeps_is_shown_as_it_is(database: str) -> None:
    """Its dates, and its missing tickers."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute(KEPT)
        told = CountedDates().dates(cur)
        assert told["kept"]
        assert [(one["date"], one["expected"], one["restated_cells"]) for one in told["dates"]] == [(DAY, 3, 4)]
        assert missing(cur, DAY) == {"date": DAY, "count": 1, "tickers": ["MSFT"]}


def test_without_it_dates_are_counted_and_after_a_batch_only_those_it_touched(database: str, tmp_path: Path) -> None:
    """A date that was not touched keeps its count, right or wrong; a touched one is counted again."""
    home = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    home.load("a.csv", HEADER + "2024-03-04,A,1,1\n2024-03-04,B,1,1\n2024-03-05,A,1,1\n")
    counted = CountedDates()
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("DELETE FROM stocketl.explained")
        shown = [(one["tickers"], one["missing"]) for one in counted.dates(cur)["dates"]]
        assert shown == [(2, 0), (1, 1)]
        cur.execute('UPDATE prices SET "stk_A" = NULL')
        assert [one["tickers"] for one in counted.dates(cur)["dates"]] == [2, 1]
        counted.touched(DAY, DAY)
        assert [one["tickers"] for one in counted.dates(cur)["dates"]] == [1, 1]
        assert missing(cur, dt.date(2024, 3, 5))["tickers"] == ["B"]
    home.close()
