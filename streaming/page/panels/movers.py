"""The movers of a day: the tickers with its highest and its lowest returns."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.ledger.explained import keeps
from streaming.page.panels.tables import groups, tickers_by_column, wide_schema, wide_table

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from psycopg2.extensions import cursor

    from streaming.screen import Facts

EACH = 10
_NEIGHBOURS = """
    SELECT (SELECT max(date) FROM stocketl.date_facts WHERE date < %(day)s AND tickers > 0),
           (SELECT min(date) FROM stocketl.date_facts WHERE date > %(day)s AND tickers > 0)
"""

Mover = tuple[str, float, float | None]
"""Ticker, return, price."""


def movers(cur: cursor, day: dt.date | None) -> Facts:
    """Of this day, or of the newest one: the highest returns, the lowest ones, and how many tickers have one.

    `date` is the day itself; `before` and `after` are its neighbours with data.
    """
    cur.execute("SELECT max(date) FROM stocketl.latest")
    ((newest,),) = cur.fetchall()
    if newest is None:
        return {"date": None, "before": None, "after": None, "count": 0, "up": [], "down": []}
    asked = day or newest
    # the newest date of all is the newest one of each ticker that has it, so one plain table is enough
    found = _of_newest(cur, asked) if asked == newest else _of_wide(cur, asked)
    before, after = _neighbours(cur, asked)
    return {"date": asked, "before": before, "after": after, **found}


def _of_newest(cur: cursor, day: dt.date) -> Facts:
    cur.execute("SELECT count(return) FROM stocketl.latest WHERE date = %s", (day,))
    ((count,),) = cur.fetchall()
    sides = []
    for side in ("return > 0 ORDER BY return DESC", "return < 0 ORDER BY return"):
        query = f'SELECT id, return, price FROM stocketl.latest WHERE date = %s AND {side}, id COLLATE "C" LIMIT %s'  # noqa: S608 (constants)
        cur.execute(query, (day, EACH))
        sides.append([_told(mover) for mover in cur.fetchall()])
    return {"count": count, "up": sides[0], "down": sides[1]}


def _of_wide(cur: cursor, day: dt.date) -> Facts:
    found = list(_returns(cur, day))
    up = heapq.nsmallest(EACH, (mover for mover in found if mover[1] > 0), key=lambda mover: (-mover[1], mover[0]))
    down = heapq.nsmallest(EACH, (mover for mover in found if mover[1] < 0), key=lambda mover: (mover[1], mover[0]))
    return {"count": len(found), "up": [_told(mover) for mover in up], "down": [_told(mover) for mover in down]}


def _returns(cur: cursor, day: dt.date) -> Iterator[Mover]:
    schema, names = wide_schema(cur), tickers_by_column(cur)
    for table_no in groups(cur):
        prices = dict(_row(cur, wide_table(schema, "prices", table_no), day))
        for column, back in _row(cur, wide_table(schema, "returns", table_no), day):
            ticker = names.get((table_no, column))
            if ticker is not None and back is not None:
                yield ticker, back, prices.get(column)


def _row(cur: cursor, table: sql.Identifier, day: dt.date) -> list[tuple[str, float | None]]:
    cur.execute(sql.SQL("SELECT * FROM {} WHERE date = %s").format(table), (day,))
    columns = [column.name for column in cur.description or ()]
    return [pair for row in cur.fetchall() for pair in zip(columns, row, strict=True) if pair[0].startswith("stk_")]


def _neighbours(cur: cursor, day: dt.date) -> tuple[dt.date | None, dt.date | None]:
    if keeps(cur, "dates"):  # one small table: to plan a query of all wide ones takes some milliseconds
        cur.execute(_NEIGHBOURS, {"day": day})
        return next(iter(cur.fetchall()))
    schema = wide_schema(cur)
    tables = [wide_table(schema, "prices", table_no) for table_no in groups(cur)]
    sides = []
    for nearest, one in (
        ("max", "(SELECT max(date) AS date FROM {} WHERE date < %(day)s)"),
        ("min", "(SELECT min(date) AS date FROM {} WHERE date > %(day)s)"),
    ):
        union = sql.SQL(" UNION ").join(sql.SQL(one).format(table) for table in tables)
        cur.execute(
            sql.SQL("SELECT {}(date) FROM ({}) d").format(sql.Identifier(nearest), union),
            {"day": day},
        )
        sides.append(next((found for (found,) in cur.fetchall()), None))
    return sides[0], sides[1]


def _told(mover: Mover) -> Facts:
    return {"id": mover[0], "return": mover[1], "price": mover[2]}
