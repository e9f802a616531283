"""What stands at the name of a wide table: whether it is one that StockETL may fill, and which columns it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.errors import DatabaseError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


@dataclass(frozen=True, slots=True)
class WideLayout:
    """A relation. ordinary: a table with a primary key; owner: the role it belongs to, None if that is ours.

    columns: name -> type, or None for a column that has a default or may not be empty.
    """

    name: sql.Identifier
    ordinary: bool
    owner: str | None
    columns: dict[str, str | None]

    @classmethod
    def read(cls, cur: cursor, name: sql.Identifier) -> WideLayout | None:
        """None if there is nothing of this name."""
        cur.execute(
            """
            SELECT c.oid,
                   c.relkind = 'r' AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
                   CASE WHEN NOT pg_has_role(c.relowner, 'USAGE') THEN pg_get_userbyid(c.relowner) END
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = %s AND c.relname = %s
            """,
            name.strings,
        )
        found = cur.fetchall()
        if not found:
            return None
        [(oid, ordinary, owner)] = found
        cur.execute(
            """
            SELECT attname, CASE WHEN attname = 'date' OR NOT (attnotnull OR atthasdef OR attidentity <> '')
                                 THEN format_type(atttypid, atttypmod) END
              FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
            """,
            (oid,),
        )
        return cls(name, ordinary, owner, dict(cur.fetchall()))

    def missing(self, cur: cursor, kind: str, wanted: list[str], *, new: bool) -> list[str]:
        """Which of the columns are still to be added.

        kind: their type; new: no ticker lives here yet, so there may be only what an attempt before this one has left,
        or an empty table made by hand for its rights. Raises DatabaseError if it is not ours to fill.
        """
        if new:
            self._refuse_a_strangers(cur, kind)
        if self.owner is not None:
            schema, name = self.name.strings
            table = self.name.as_string(cur)
            msg = (
                f"the table {name!r} in schema {schema!r} belongs to role {self.owner!r}: only its owner can add the "
                f"columns of new tickers. What to do: ALTER TABLE {table} OWNER TO the job's role."
            )
            raise DatabaseError(msg)
        there = [column for column in wanted if column in self.columns]
        if there:
            self._refuse_filled(cur, kind, there)
        return [column for column in wanted if column not in self.columns]

    def _refuse_a_strangers(self, cur: cursor, kind: str) -> None:
        others = {column: what for column, what in self.columns.items() if column != "date"}
        if (
            self.ordinary
            and self.columns.get("date") == "date"
            and all(name.startswith("stk_") and what == kind for name, what in others.items())
            and not _any_row(cur, self.name, sql.SQL("true"))
        ):
            return
        schema, name = self.name.strings
        msg = (
            f"the schema {schema!r} has a {name!r} that StockETL did not make: expected nothing there, or an ordinary "
            "empty table with the one column `date date PRIMARY KEY`. Rename it, or use another database or a role "
            "with another search_path."
        )
        raise DatabaseError(msg)

    def _refuse_filled(self, cur: cursor, kind: str, there: list[str]) -> None:
        """A column that no ticker has is one of an attempt before this one only if it is empty."""
        strange = [column for column in there if self.columns[column] != kind]
        filled = sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(column)) for column in there)
        if not strange and not _any_row(cur, self.name, filled):
            return
        schema, name = self.name.strings
        told = ", ".join(map(repr, (strange or there)[:5]))
        msg = (
            f"the table {name!r} in schema {schema!r} has columns that stocketl.tickers does not name: {told}. "
            f"Expected nothing there, or an empty column of type {kind} without a default. What to do: rename or drop "
            "them; if they were StockETL's, rows of stocketl.tickers were deleted by hand: put those back."
        )
        raise DatabaseError(msg)


def _any_row(cur: cursor, table: sql.Identifier, condition: sql.Composable) -> bool:
    cur.execute(sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(table, condition))
    return cur.fetchall() == [(True,)]
