"""The order of the columns of wide tables: a COPY that gives all of them need not name any.

PostgreSQL looks up each name among all of the table: 5 ms for a row of 800 columns, which it takes in 0.4 ms without
names. A batch of 10,000 tickers fills 39 such tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.ledger.tickers import wide_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import cursor

_SEEN = """
    SELECT c.relname, c.oid, sum(hashtextextended(a.attname::text, a.attnum::bigint))::text
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND c.relname = ANY(%s)
     GROUP BY c.relname, c.oid
"""
_READ = """
    SELECT attname, attname <> 'date' AND (left(attname, 4) <> 'stk_' OR atthasdef OR attidentity <> '')
      FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


@dataclass(frozen=True, slots=True)
class _Known:
    oid: int
    names: str
    place: dict[str, int] | None


class ColumnOrder:
    """Of the tables that a job has written to. It is read again if a column has another name or another place."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def look(self, cur: cursor, schema: str, kinds: Iterable[str], numbers: Iterable[int]) -> None:
        """Before a transaction writes to the tables of these kinds and groups: nobody can alter them until it ends."""
        numbers = list(numbers)
        tables = [wide_name(kind, number) for kind in kinds for number in numbers]
        if not tables:
            return
        named = sql.SQL(", ").join(sql.Identifier(schema, name) for name in tables)
        cur.execute(sql.SQL("LOCK TABLE ONLY {} IN ROW EXCLUSIVE MODE").format(named))
        cur.execute(_SEEN, (schema, tables))
        for name, oid, names in cur.fetchall():
            known = self._known.get(name)
            if known is None or (known.oid, known.names) != (oid, names):
                self._known[name] = _Known(oid, names, _read(cur, oid))

    def of(self, name: str) -> dict[str, int] | None:
        """The place of each column among those behind `date`; None: they must be named.

        It is so if a person has added a column, which is to get its default.
        """
        known = self._known.get(name)
        return None if known is None else known.place


def _read(cur: cursor, oid: int) -> dict[str, int] | None:
    cur.execute(_READ, (oid,))
    columns = cur.fetchall()
    if columns[0][0] != "date" or any(foreign for _, foreign in columns):
        return None
    return {name: place for place, (name, _) in enumerate(columns[1:])}
