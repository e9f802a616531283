"""Where each ticker lives: its column and the number of its tables, in `stocketl.tickers`.

First a place is planned, then its columns are made (`streaming.publish.widening`), then the batch that brings the
ticker takes it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from psycopg2.extras import execute_values

from streaming.errors import StockETLError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from psycopg2.extensions import cursor

TICKERS_PER_TABLE = 800

Place = tuple[str, int]  # the column, the number of the tables


class UnplannedError(StockETLError):
    """A ticker has no place, and none was planned: the database is not what it was a moment ago."""


def wide_name(kind: str, number: int) -> str:
    """The name of a wide table: `prices`, and `prices_2` for the second group of tickers."""
    return kind if number == 1 else f"{kind}_{number}"


def placed(cur: cursor, ids: Iterable[str]) -> dict[str, Place]:
    """The places of the tickers that have one."""
    cur.execute("SELECT id, column_name, table_no FROM stocketl.tickers WHERE id = ANY(%s)", (list(ids),))
    return {ticker: (column, table_no) for ticker, column, table_no in cur.fetchall()}


def used_tables(cur: cursor) -> dict[int, int]:
    """The number of tickers in the tables of each number."""
    cur.execute("SELECT table_no, count(*) FROM stocketl.tickers GROUP BY table_no")
    return dict(cur.fetchall())


def plan(new: Iterable[str], used: Mapping[int, int], full: Collection[int] = ()) -> dict[str, Place]:
    """Places for new tickers, in sorted order in the first tables with room; `full`: tables that take no more columns.

    >>> plan(["B", "A"], {1: 799})
    {'A': ('stk_A', 1), 'B': ('stk_B', 2)}
    """
    filled = Counter(used)
    planned, table_no = {}, 1
    for ticker in sorted(new):
        while filled[table_no] >= TICKERS_PER_TABLE or table_no in full:
            table_no += 1
        filled[table_no] += 1
        planned[ticker] = (f"stk_{ticker}", table_no)
    return planned


def alike(cur: cursor, new: Iterable[str]) -> list[tuple[str, str]]:
    """New tickers, each with another one, known or new, that differs from it only in case."""
    names = sorted(new)
    cur.execute("SELECT id FROM stocketl.tickers WHERE lower(id) = ANY(%s)", ([name.lower() for name in names],))
    others: dict[str, str] = {}
    for (name,) in cur.fetchall():
        others.setdefault(str(name).lower(), str(name))
    found = []
    for name in names:
        other = others.setdefault(name.lower(), name)
        if other != name:
            found.append((name, other))
    return found


def place_tickers(cur: cursor, ids: Iterable[str], planned: Mapping[str, Place]) -> dict[str, Place]:
    """The place of each ticker; those that have none take the planned one, in the caller's transaction.

    Raises UnplannedError for a ticker with neither.
    """
    wanted = sorted(set(ids))
    known = placed(cur, wanted)
    new = [ticker for ticker in wanted if ticker not in known]
    if lost := [ticker for ticker in new if ticker not in planned]:
        msg = f"{len(lost)} tickers are gone from stocketl.tickers, {lost[0]!r} first"
        raise UnplannedError(msg)
    if new:
        rows = [(ticker, *planned[ticker]) for ticker in new]
        execute_values(cur, "INSERT INTO stocketl.tickers (id, column_name, table_no) VALUES %s", rows, page_size=1000)
    return known | {ticker: planned[ticker] for ticker in new}
