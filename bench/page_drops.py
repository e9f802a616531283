"""The drops that the live page follows: new dates and corrections, and how the tables show each of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

from bench import data
from bench.drip import Drop
from bench.series import day_drops
from streaming.ledger.tickers import placed, wide_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.place import Bench, Room

DAY, CELL, CELLS = "day", "cell", "cells"
_MANY_CELLS = 200


@dataclass(frozen=True)
class Event:
    """A drop and its kind: a new date of all tickers, one cell of the past, or many cells from all over the past."""

    kind: str
    drop: Drop

    @property
    def dates(self) -> int:
        """How many dates more a chart has afterwards."""
        return 1 if self.kind == DAY else 0


def events(bench: Bench, room: Room, uri: str, tickers: Sequence[str], *, first: int, number: int) -> list[Event]:
    """So many events: two new dates, then an old cell of one of these tickers, and so on; then many cells at once.

    first: the number of the first new date; the tables hold all before it.
    """
    kinds = [CELL if at % 3 == 2 else DAY for at in range(number)]
    days = iter(day_drops(bench, room, bench.sizes.many, first, kinds.count(DAY)))
    found = []
    for at, kind in enumerate(kinds):
        drop = (
            next(days) if kind == DAY else _cell(bench, room, uri, tickers[at // 3 % len(tickers)], first=first, at=at)
        )
        found.append(Event(kind, drop))
    return found + [Event(CELLS, _cells(bench, room, uri, first=first, at=number + at)) for at in range(number // 3)]


def _cell(bench: Bench, room: Room, uri: str, ticker: str, *, first: int, at: int) -> Drop:
    path = room.folder / "days" / f"cell-{first}-{at}.csv"
    day, price = data.correction(path, bench.seed + at, bench.sizes.many, first, ticker)
    return Drop(path, price_query(uri, ticker), (day, price))


def _cells(bench: Bench, room: Room, uri: str, *, first: int, at: int) -> Drop:
    path = room.folder / "days" / f"cells-{first}-{at}.csv"
    day, ticker, price = data.corrections(path, bench.seed + at, bench.sizes.many, first, _MANY_CELLS)
    return Drop(path, price_query(uri, ticker), (day, price))


def price_query(uri: str, ticker: str) -> str:
    """The SQL that has a row once a ticker has a price on a date; both are its parameters, the date first."""
    query = sql.SQL("SELECT 1 FROM {} WHERE date = %s AND {} = %s")
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection.cursor() as cur:
        column, table_no = placed(cur, [ticker])[ticker]
        return query.format(sql.Identifier(wide_name("prices", table_no)), sql.Identifier(column)).as_string(cur)
