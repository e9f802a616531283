"""Two databases, cell by cell: the wide tables of the job against those of the peer, bit by bit."""

from __future__ import annotations

import contextlib
import hashlib
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from psycopg2.extensions import connection

_WIDE = re.compile(r"(prices|returns|volume)(_\d+)?")
_SHOWN = 5


class TablesDifferError(Exception):
    """The job's tables are not those of the peer."""


class _Digest:
    """What `copy_expert` writes into."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b()

    def write(self, data: ReadableBuffer) -> int:
        self._hash.update(data)
        return memoryview(data).nbytes

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()


def same(ours: str, peer: str, *, after_first: bool = False) -> int:
    """The number of values compared. Raises TablesDifferError with the tables, columns and dates that differ.

    ours, peer: URIs. The placement of tickers in tables must be the same too. after_first: only what is newer than the
    peer's first date, where the peer has the end of the history alone.
    """
    with contextlib.closing(psycopg2.connect(ours)) as a, contextlib.closing(psycopg2.connect(peer)) as b:
        tables = _columns(a)
        if tables != (others := _columns(b)):
            names = sorted(t for t in tables.keys() | others.keys() if tables.get(t) != others.get(t))
            msg = f"other tables or columns than the peer's: {', '.join(names[:_SHOWN]) or 'no tables'}"
            raise TablesDifferError(msg)
        if not tables:
            msg = "neither database has a wide table"
            raise TablesDifferError(msg)
        after = _first_date(b) if after_first else date.min
        for table, columns in tables.items():
            if _digest(a, table, columns, after) != _digest(b, table, columns, after):
                raise TablesDifferError(_difference(a, b, table, columns, after))
        return sum(_rows(a, table, after) * len(columns) for table, columns in tables.items())


def _columns(database: connection) -> dict[str, list[str]]:
    """Sorted columns of each wide table, without the date."""
    with database.cursor() as cur:
        cur.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name <> 'date' ORDER BY 1, column_name COLLATE \"C\""
        )
        tables: dict[str, list[str]] = {}
        for table, column in cur.fetchall():
            if _WIDE.fullmatch(table):
                tables.setdefault(table, []).append(column)
    return tables


def _first_date(database: connection) -> date:
    with database.cursor() as cur:
        cur.execute("SELECT min(date) FROM prices")
        (found,) = cur.fetchall()
        first: date = found[0]
        return first


def _digest(database: connection, table: str, columns: list[str], after: date) -> str:
    digest = _Digest()
    with database.cursor() as cur:
        query = sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(_cells(table, columns, after))
        cur.copy_expert(query, digest)
    return digest.hex


def _cells(table: str, columns: list[str], after: date) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, ["date", *columns]))
    query = sql.SQL("SELECT {} FROM {} WHERE date > {} ORDER BY date")
    return query.format(names, sql.Identifier(table), sql.Literal(after))


def _rows(database: connection, table: str, after: date) -> int:
    return len(_fetched(database, sql.SQL("SELECT date FROM ({}) t").format(_cells(table, [], after))))


def _fetched(database: connection, query: sql.Composed) -> list[tuple[Any, ...]]:
    with database.cursor() as cur:
        cur.execute(query)
        return cur.fetchall()


def _difference(a: connection, b: connection, table: str, columns: list[str], after: date) -> str:
    if (ours := _rows(a, table, after)) != (peers := _rows(b, table, after)):
        return f"{table}: {ours:,} dates, the peer has {peers:,}"
    other = [column for column in columns if _digest(a, table, [column], after) != _digest(b, table, [column], after)]
    if not other:
        return f"{table}: the dates differ"
    pairs = zip(*(_fetched(database, _cells(table, other[:1], after)) for database in (a, b)), strict=True)
    cells = [f"{x[0]} {x[1]!r} (peer {y[0]} {y[1]!r})" for x, y in pairs if x != y]
    return (
        f"{table}: {len(other)} of {len(columns)} columns differ: {', '.join(other[:_SHOWN])} …; "
        f"{len(cells)} cells in {other[0]}: {'; '.join(cells[:_SHOWN])} …"
    )
