"""Changes become cells of the wide tables: `prices`, `returns`, `volume`, then `prices_2` and so on, one row per date.

Delivery: that of the caller's transaction, in which everything here happens. Rows for new dates are copied straight
into the table; in rows that exist only the changed cells are set, through a small temporary table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from psycopg2 import sql

from streaming import faults, latest
from streaming.binary_copy import Cells, Stream, array_rows, made_ahead, wide_rows
from streaming.distinct import distinct
from streaming.errors import DatabaseError
from streaming.packets import PRICE_CHANGED, RETURN_CHANGED, UNKNOWN_VOLUME, VOLUME_CHANGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from psycopg2.extensions import cursor

    from streaming.ledger import Placements
    from streaming.packets import Changes, Float64, Int32, Int64

_COPY_BYTES = 1 << 18


class _Kind(NamedTuple):
    """One of the three tables of a group; `empty` stands for "no cell" where a value must be given."""

    table: str
    type: str
    changed: int
    empty: float


_PRICES = _Kind("prices", "double precision", PRICE_CHANGED, float("nan"))
_RETURNS = _Kind("returns", "double precision", RETURN_CHANGED, float("nan"))
_VOLUME = _Kind("volume", "bigint", VOLUME_CHANGED, UNKNOWN_VOLUME)
KINDS = (_PRICES, _RETURNS, _VOLUME)


@dataclass(frozen=True, slots=True)
class _Group:
    """The changes of the tickers of one table number, in order of date: row and column index `dates` and `columns`."""

    table_no: int
    columns: list[str]
    dates: Int32
    row: Int64
    column: Int64
    changed: npt.NDArray[np.uint8]
    values: dict[str, Float64 | Int64]

    def cells(self, kind: _Kind, in_row: npt.NDArray[np.bool_]) -> Cells:
        """Changed cells that hold a value, in the chosen rows; only these rows are in the result."""
        values = self.values[kind.table]
        empty = np.isnan(values) if kind.type == "double precision" else values == kind.empty
        at = np.flatnonzero(((self.changed & kind.changed) != 0) & ~empty & in_row[self.row])
        renumbered = np.cumsum(in_row) - 1
        dates = self.dates[in_row]
        return Cells(dates, len(self.columns), renumbered[self.row[at]], self.column[at], values[at])


def write(cur: cursor, changes: Changes, placements: Placements) -> int:
    """Writes all changes in the caller's transaction and keeps `stocketl.latest` up; returns the cells written.

    Raises DatabaseError if a table to be made exists and is not one of ours.
    """
    cur.execute("SELECT wide_schema FROM stocketl.writer")
    (schema,), *_ = cur.fetchall()
    _widen(cur, schema, placements)
    faults.reach("altered")
    written = 0
    for group in _groups(changes, placements):
        written += _write_group(cur, schema, group)
    latest.keep(cur, changes)
    return written


def _name(schema: str, kind: _Kind, table_no: int) -> sql.Identifier:
    return sql.Identifier(schema, kind.table if table_no == 1 else f"{kind.table}_{table_no}")


def _widen(cur: cursor, schema: str, placements: Placements) -> None:
    """Makes new tables and adds the columns of new tickers, one ALTER per table.

    The column of a ticker that was placed before must be there: adding it again would hide that somebody dropped it.
    """
    added: dict[int, list[str]] = {}
    for ticker in placements.added:
        column, table_no = placements[ticker]
        added.setdefault(table_no, []).append(column)
    for table_no, columns in added.items():
        for kind in KINDS:
            table = _name(schema, kind, table_no)
            typed = [sql.SQL(f"{{}} {kind.type}").format(sql.Identifier(column)) for column in columns]
            if table_no in placements.new_tables and not _made_by_hand(cur, table):
                # 800 columns at once take 5 ms here, 150 ms by ALTER
                key = sql.SQL("date date PRIMARY KEY")
                cur.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join([key, *typed])))
            else:
                clauses = sql.SQL(", ").join(sql.SQL("ADD COLUMN {}").format(column) for column in typed)
                cur.execute(sql.SQL("ALTER TABLE {} {}").format(table, clauses))


def _made_by_hand(cur: cursor, table: sql.Identifier) -> bool:
    """Whether a table with just our key stands there (made for its rights, say); DatabaseError for anything else."""
    cur.execute(
        """
        SELECT c.relkind = 'r'
               AND (SELECT array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod)) FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) = ARRAY['date date']
               AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relname = %s
        """,
        table.strings,
    )
    found = cur.fetchall()
    if found not in ([], [(True,)]):
        schema, name = table.strings
        msg = (
            f"the schema {schema!r} has a {name!r} that StockETL did not make: expected nothing there, or an ordinary "
            "table with the one column `date date PRIMARY KEY`. Rename it, or use another database or a role with "
            "another search_path."
        )
        raise DatabaseError(msg)
    return bool(found)


def _groups(changes: Changes, placements: Placements) -> Iterator[_Group]:
    places = [placements[ticker] for ticker in changes.ids]
    table_of_code = np.array([table_no for _, table_no in places], np.int32)
    order = np.lexsort((changes.date, table_of_code[changes.code]))
    tables = table_of_code[changes.code[order]]
    numbers, starts = np.unique(tables, return_index=True)
    ends = [*starts[1:], len(order)]
    for table_no, start, end in zip(numbers.tolist(), starts, ends, strict=False):
        at = order[start:end]
        dates, row = distinct(changes.date[at])
        codes, column = distinct(changes.code[at])
        yield _Group(
            table_no,
            [places[code][0] for code in codes.tolist()],
            dates,
            row,
            column,
            changes.changed[at],
            {"prices": changes.price[at], "returns": changes.returns[at], "volume": changes.volume[at]},
        )


def _write_group(cur: cursor, schema: str, group: _Group) -> int:
    new = ~_exists(cur, _name(schema, _PRICES, group.table_no), group.dates)
    # quoted once for all statements: 10,000 names in 3 tables took longer to quote than to write
    quoted = np.array([sql.Identifier(column).as_string(cur) for column in group.columns], object)
    written = 0
    for kind in KINDS:
        table = _name(schema, kind, group.table_no).as_string(cur)
        if new.any():
            written += _copy(cur, table, quoted, group.cells(kind, new))
        if not new.all():
            written += _update(cur, table, quoted, group.cells(kind, ~new), kind)
        faults.reach("writing")
    return written


def _exists(cur: cursor, table: sql.Identifier, dates: Int32) -> npt.NDArray[np.bool_]:
    """Whether each date has a row (it has one in all three tables of the group, or in none)."""
    wanted = sql.Literal(dates.astype("datetime64[D]").tolist())
    cur.execute(sql.SQL("SELECT date - DATE '1970-01-01' FROM {} WHERE date = ANY({})").format(table, wanted))
    return np.isin(dates, np.array([day for (day,) in cur.fetchall()], np.int32))


def _copy(cur: cursor, table: str, quoted: npt.NDArray[np.object_], cells: Cells) -> int:
    """New rows, one for each date even where it has no cell in this table."""
    cells, used = cells.without_empty_columns()
    names = ", ".join(["date", *quoted[used]])
    pieces = made_ahead(wide_rows(piece) for piece in cells.slices())
    cur.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)", Stream(pieces), _COPY_BYTES)
    return len(cells.values)


def _update(cur: cursor, table: str, quoted: npt.NDArray[np.object_], cells: Cells, kind: _Kind) -> int:
    """Sets cells in rows that exist; the others of a row keep their values."""
    staging = f"pg_temp.stocketl_{kind.table}"
    for piece in cells.without_empty_rows().slices():
        block, used = piece.without_empty_columns()
        _stage(cur, staging, kind, block)
        dense = len(block.values) == len(block.dates) * block.width
        empty = "'NaN'" if kind.type == "double precision" else kind.empty
        # COALESCE costs three times the plain form, which is enough when a block is full: one date, say
        value = "s.v[{}]" if dense else f"COALESCE(NULLIF(s.v[{{}}], {empty}), t.{{}})"
        sets = ", ".join(f"{name} = {value.format(i, name)}" for i, name in enumerate(quoted[used], 1))
        cur.execute(f"UPDATE {table} t SET {sets} FROM {staging} s WHERE t.date = s.date")  # noqa: S608 - quoted names
        if cur.rowcount != len(block.dates):
            msg = (
                f"{table} lacks {len(block.dates) - cur.rowcount} of the {len(block.dates)} dates to be updated, which "
                "`prices` has: rows were deleted by hand. Restore them, or start anew with an empty database."
            )
            raise DatabaseError(msg)
    return len(cells.values)


def _stage(cur: cursor, staging: str, kind: _Kind, block: Cells) -> None:
    """One array per date: a table of two columns serves all groups, where 800 columns would swell the catalogue."""
    cur.execute("SELECT to_regclass(%s) IS NULL", (staging,))
    if cur.fetchall() == [(True,)]:
        # PLAIN: in a compressed value each element costs the whole array
        cur.execute(f"CREATE TEMPORARY TABLE {staging} (date date, v {kind.type}[]) ON COMMIT DELETE ROWS")
        cur.execute(f"ALTER TABLE {staging} ALTER v SET STORAGE PLAIN")
    else:
        cur.execute(f"TRUNCATE {staging}")
    # a fresh temporary table has no statistics: without this the whole history is read to join one row
    cur.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    cur.copy_expert(
        f"COPY {staging} FROM STDIN (FORMAT binary)", Stream(iter([array_rows(block, kind.empty)])), _COPY_BYTES
    )
