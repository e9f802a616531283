"""How complete each date is, and which tickers a date lacks.

If the job keeps `stocketl.dates`, that is shown. If not (an older database, or it was switched off), the prices of each
date are counted, and a date is measured by the largest of the six dates before it. Either way only the dates that a
batch may have changed are read again.
"""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.ledger.explained import keeps
from streaming.page.panels.tables import groups, tickers_by_column, wide_schema, wide_table

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.screen import Facts

_SESSIONS = 6
_MOST_MISSING = 2_000
_FEW = 20
_ROW_AS_TEXT = sql.SQL("cardinality(array_remove(string_to_array(btrim(p::text, '()'), ','), '')) - 1")
"""The fields of a row that hold something, but for its date: 0.7 ms a row, whatever the names of its columns."""
_KEPT = """
    SELECT date, tickers, expected, missing, state, late_cells, restated_cells
      FROM stocketl.dates_since(%s) ORDER BY date
"""
# A price that is only another one changes nothing but the counts of its date: who has a price stays as it was.
_COUNTS = """
    SELECT date, CASE WHEN counted THEN late_cells END AS late_cells,
           CASE WHEN counted THEN restated_cells END AS restated_cells
      FROM stocketl.date_facts WHERE date BETWEEN %s AND %s
"""
# what changes dates that no batch has touched: a job that made them anew, other sessions, a past that was filled
_MADE = """
    SELECT (SELECT epoch FROM stocketl.writer), (SELECT count(*) FROM stocketl.sessions),
           (SELECT count(*) FROM stocketl.date_facts WHERE NOT counted)
"""
# A date is measured by six sessions before it, and by whether a ticker goes on. So a price can change what is said of
# 13 sessions before it; and of any, if it is the first one for so long. Then this gives the first date that there is.
_CHANGED_SINCE = """
    WITH padded AS NOT MATERIALIZED (
        SELECT date, stocketl.widened(priced_bits, width) AS priced FROM stocketl.priced_sessions
    ), before AS (
        SELECT date, priced FROM padded WHERE date < %(first)s ORDER BY date DESC LIMIT 13
    ), seen AS (
        SELECT min(date) AS date, bit_or(priced) AS priced FROM before
    ), touched AS (
        SELECT bit_or(priced) AS priced FROM padded WHERE date BETWEEN %(first)s AND %(last)s
    )
    SELECT CASE WHEN stocketl.ones(t.priced & ~s.priced) = 0 THEN s.date ELSE '-infinity' END FROM seen s, touched t
"""

Day = dt.date


class CountedDates:
    """The dates, read once and remembered; `touched` says which of them must be read again. For threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[int, ...] | None = None
        self._kept: dict[Day, Facts] = {}
        self._counts: dict[Day, int] = {}
        self._stale: tuple[Day, Day] | None = (Day.min, Day.max)
        self._new = True

    def touched(self, first: Day, last: Day, *, new: bool = True) -> None:
        """A batch has written dates between these. new: whether some prices are where there were none before."""
        with self._lock:
            before = self._stale
            self._stale = (first, last) if before is None else (min(before[0], first), max(before[1], last))
            self._new = self._new or new

    def dates(self, cur: cursor) -> Facts:
        """Each date with the tickers that have a price, those expected, those missing."""
        kept = bool(keeps(cur, "dates"))
        made = _made(cur) if kept else None
        with self._lock:
            if made != self._made:
                self._made, self._stale, self._new = made, (Day.min, Day.max), True
            if self._stale is not None:
                first, last = self._stale
                if not self._new:
                    self._kept |= _counts_again(cur, first, last, self._kept) if kept else {}
                elif kept:
                    since = _changed_since(cur, first, last)
                    before = {day: facts for day, facts in self._kept.items() if day < since}
                    self._kept = before | _kept_since(cur, since)
                else:
                    others = {day: count for day, count in self._counts.items() if not first <= day <= last}
                    self._counts = dict(sorted((others | _counted(cur, first, last)).items()))
                self._stale, self._new = None, False
            return {"kept": kept, "dates": list(self._kept.values()) if kept else _measured(self._counts)}


def missing(cur: cursor, day: Day) -> Facts:
    """The expected tickers that have no price on this date: how many, and the first ones."""
    if keeps(cur, "dates"):
        cur.execute("SELECT stocketl.missing(%s)", (day,))
        found = [str(ticker) for (ticker,) in cur.fetchall()]
    else:
        found = _seen_before(cur, day)
    return {"date": day, "count": len(found), "tickers": found[:_MOST_MISSING]}


def _made(cur: cursor) -> tuple[int, ...]:
    cur.execute(_MADE)
    return next(iter(cur.fetchall()))


def _changed_since(cur: cursor, first: Day, last: Day) -> Day:
    """The first date of which something else may be said than before a batch that wrote dates between these."""
    cur.execute(_CHANGED_SINCE, {"first": first, "last": last})
    return next((since for (since,) in cur.fetchall() if since is not None), Day.min)


def _rows_by_day(cur: cursor, query: str, *days: Day) -> dict[Day, Facts]:
    cur.execute(query, days)
    names = [column.name for column in cur.description or ()]
    return {row[0]: dict(zip(names, row, strict=True)) for row in cur.fetchall()}


def _kept_since(cur: cursor, since: Day) -> dict[Day, Facts]:
    return _rows_by_day(cur, _KEPT, since)


def _counts_again(cur: cursor, first: Day, last: Day, known: dict[Day, Facts]) -> dict[Day, Facts]:
    rows = _rows_by_day(cur, _COUNTS, first, last)
    return {day: known[day] | facts for day, facts in rows.items() if day in known}


def _counted(cur: cursor, first: Day, last: Day) -> dict[Day, int]:
    """The tickers with a price, by date."""
    schema = wide_schema(cur)
    tables = {table_no: wide_table(schema, "prices", table_no) for table_no in groups(cur)}
    few = last.toordinal() - first.toordinal() < _FEW
    how = dict.fromkeys(tables, _ROW_AS_TEXT) if few else _columns(cur)
    total: dict[Day, int] = {}
    for table_no, table in tables.items():
        cur.execute(
            sql.SQL("SELECT date, {} FROM {} p WHERE date BETWEEN %s AND %s").format(how[table_no], table),
            (first, last),
        )
        for day, count in cur.fetchall():
            total[day] = total.get(day, 0) + count
    return total


def _columns(cur: cursor) -> dict[int, sql.Composed]:
    """How to count the columns of each table: ten microseconds a row, but half a second to write it all down."""
    columns: dict[int, list[sql.Identifier]] = {}
    for table_no, column in tickers_by_column(cur):
        columns.setdefault(table_no, []).append(sql.Identifier(column))
    return {
        table_no: sql.SQL("num_nonnulls(VARIADIC ARRAY[{}])").format(sql.SQL(", ").join(names))
        for table_no, names in columns.items()
    }


def _measured(counts: dict[Day, int]) -> list[Facts]:
    told, before = [], [0] * _SESSIONS
    for day, tickers in counts.items():
        expected = max(*before, tickers)
        lacking = expected - tickers
        told.append({"date": day, "tickers": tickers, "expected": expected, "missing": lacking})
        before = [*before[1:], tickers]
    return told


def _seen_before(cur: cursor, day: Day) -> list[str]:
    """The tickers with a price in one of the six dates before and none on this one."""
    schema, names = wide_schema(cur), tickers_by_column(cur)
    numbers = groups(cur)
    if not numbers:
        return []
    recent = sql.SQL(" UNION ").join(
        sql.SQL("(SELECT date FROM {} WHERE date < %(day)s ORDER BY date DESC LIMIT %(many)s)").format(
            wide_table(schema, "prices", table_no)
        )
        for table_no in numbers
    )
    values = {"day": day, "many": _SESSIONS}
    cur.execute(sql.SQL("SELECT date FROM ({}) d ORDER BY date DESC LIMIT %(many)s").format(recent), values)
    days = [found for (found,) in cur.fetchall()]
    lacking: list[str] = []
    for table_no in numbers:
        table = wide_table(schema, "prices", table_no)
        cur.execute(sql.SQL("SELECT * FROM {} WHERE date = ANY(%s)").format(table), ([*days, day],))
        columns = [column.name for column in cur.description or ()]
        rows = {row[0]: row for row in cur.fetchall()}
        own = rows.pop(day, None)
        for at, column in enumerate(columns):
            ticker = names.get((table_no, column))
            if ticker and (own is None or own[at] is None) and any(row[at] is not None for row in rows.values()):
                lacking.append(ticker)
    return sorted(lacking)
