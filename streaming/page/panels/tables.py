"""Which tables there are to read: the wide ones by group, and parts of the ledger that a database may lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.ledger.tickers import used_tables, wide_name

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


def has(cur: cursor, relation: str) -> bool:
    """Whether the database has this table or view: it may be of an older version, or may do without."""
    cur.execute("SELECT to_regclass(%s) IS NOT NULL", (relation,))
    return cur.fetchall() == [(True,)]


def wide_schema(cur: cursor) -> str:
    """The schema of the wide tables."""
    cur.execute("SELECT wide_schema FROM stocketl.writer")
    ((schema,),) = cur.fetchall()
    return str(schema)


def wide_table(schema: str, kind: str, table_no: int) -> sql.Identifier:
    """`prices` of the first group, `prices_2` of the second, with their schema."""
    return sql.Identifier(schema, wide_name(kind, table_no))


def groups(cur: cursor) -> list[int]:
    """The numbers of the wide tables that hold tickers."""
    return sorted(used_tables(cur))


def tickers_by_column(cur: cursor) -> dict[tuple[int, str], str]:
    """(number of the table, column) -> ticker, of all tickers."""
    cur.execute("SELECT table_no, column_name, id FROM stocketl.tickers")
    return {(table_no, column): ticker for table_no, column, ticker in cur.fetchall()}
