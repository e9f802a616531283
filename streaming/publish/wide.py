"""Changes become cells of the wide tables: `prices`, `returns`, `volume`, then `prices_2` and so on, one row per date.

Delivery: that of the caller's transaction, in which everything here happens. Rows for new dates are copied straight
into the table; in rows that exist only the changed cells are set, through a small temporary table.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from psycopg2 import sql

from streaming import faults
from streaming.database.binary_copy import copy_in, made_ahead
from streaming.distinct import distinct
from streaming.errors import START_AGAIN, DatabaseError
from streaming.ledger.tickers import wide_name
from streaming.packets import PRICE_CHANGED, RETURN_CHANGED, UNKNOWN_VOLUME, VOLUME_CHANGED
from streaming.publish import latest
from streaming.publish.column_order import ColumnOrder
from streaming.publish.wide_copy import TableCells, array_rows, wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    from psycopg2.extensions import cursor

    from streaming.ledger.tickers import Place
    from streaming.packets import Changes, Float64, Int32, Int64


class Kind(NamedTuple):
    """One of the three tables of a group; `empty` stands for "no cell" where a value must be given."""

    table: str
    type: str
    changed: int
    empty: float


_PRICES = Kind("prices", "double precision", PRICE_CHANGED, float("nan"))
_RETURNS = Kind("returns", "double precision", RETURN_CHANGED, float("nan"))
_VOLUME = Kind("volume", "bigint", VOLUME_CHANGED, UNKNOWN_VOLUME)
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

    def cells(self, kind: Kind, in_row: npt.NDArray[np.bool_]) -> TableCells:
        """Changed cells that hold a value, in the chosen rows; only these rows are in the result."""
        values = self.values[kind.table]
        empty = np.isnan(values) if kind.type == "double precision" else values == kind.empty
        at = np.flatnonzero(((self.changed & kind.changed) != 0) & ~empty & in_row[self.row])
        renumbered = np.cumsum(in_row) - 1
        dates = self.dates[in_row]
        return TableCells(dates, len(self.columns), renumbered[self.row[at]], self.column[at], values[at])


def write(
    cur: cursor,
    changes: Changes,
    places: Mapping[str, Place],
    rewritten: Counter[str] | None = None,
    order: ColumnOrder | None = None,
) -> int:
    """Writes all changes in the caller's transaction and keeps `stocketl.latest` up; returns the cells written.

    places: where each ticker lives; the columns must be there (`streaming.publish.widening`). rewritten: counts, for
    each table (a quoted name), the rows that got a new version. order: what is known of the tables from batch to batch.
    """
    order = order or ColumnOrder()
    cur.execute("SELECT wide_schema FROM stocketl.writer")
    (schema,), *_ = cur.fetchall()
    written = 0
    groups = list(_groups(changes, places))
    order.look(cur, schema, [kind.table for kind in KINDS], [group.table_no for group in groups])
    for group in groups:
        written += _write_group(cur, schema, group, Counter() if rewritten is None else rewritten, order)
    latest.keep(cur, changes)
    return written


def table_name(schema: str, kind: Kind, table_no: int) -> sql.Identifier:
    """The wide table of this kind and number, with its schema."""
    return sql.Identifier(schema, wide_name(kind.table, table_no))


def _groups(changes: Changes, places: Mapping[str, Place]) -> Iterator[_Group]:
    place_of_code = [places[ticker] for ticker in changes.ids]
    table_of_code = np.array([table_no for _, table_no in place_of_code], np.int32)
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
            [place_of_code[code][0] for code in codes.tolist()],
            dates,
            row,
            column,
            changes.changed[at],
            {"prices": changes.price[at], "returns": changes.returns[at], "volume": changes.volume[at]},
        )


def _write_group(cur: cursor, schema: str, group: _Group, rewritten: Counter[str], order: ColumnOrder) -> int:
    new = ~_exists(cur, table_name(schema, _PRICES, group.table_no), group.dates)
    # quoted once for all statements: 10,000 names in 3 tables took longer to quote than to write
    quoted = np.array([sql.Identifier(column).as_string(cur) for column in group.columns], object)
    written = 0
    for kind in KINDS:
        table = table_name(schema, kind, group.table_no).as_string(cur)
        if new.any():
            place = order.of(wide_name(kind.table, group.table_no))
            written += _copy(cur, table, (group.columns, quoted, place), group.cells(kind, new))
        if not new.all():
            written += _update(cur, table, quoted, group.cells(kind, ~new), kind, rewritten)
        faults.reach("writing")
    return written


def _exists(cur: cursor, table: sql.Identifier, dates: Int32) -> npt.NDArray[np.bool_]:
    """Whether each date has a row (it has one in all three tables of the group, or in none)."""
    wanted = sql.Literal(dates.astype("datetime64[D]").tolist())
    cur.execute(sql.SQL("SELECT date - DATE '1970-01-01' FROM {} WHERE date = ANY({})").format(table, wanted))
    return np.isin(dates, np.array([day for (day,) in cur.fetchall()], np.int32))


def _copy(
    cur: cursor,
    table: str,
    columns: tuple[list[str], npt.NDArray[np.object_], dict[str, int] | None],
    cells: TableCells,
) -> int:
    """New rows, one for each date, even if it has no cell in this table.

    columns: their names, the same quoted, and the place of each in the table, if it need not be named.
    """
    cells, used = cells.without_empty_columns()
    names, quoted, place = columns
    wanted = [names[column] for column in used.tolist()]
    if place is not None and len(place) <= 2 * len(wanted) and all(name in place for name in wanted):
        at = np.array([place[name] for name in wanted], np.int64)
        cells = TableCells(cells.dates, len(place), cells.row, at[cells.column], cells.values)
        listed = ""
    else:
        listed = f" ({', '.join(['date', *quoted[used]])})"
    pieces = made_ahead(wide_rows(piece) for piece in cells.slices())
    copy_in(cur, f"COPY {table}{listed} FROM STDIN (FORMAT binary)", pieces)
    return len(cells.values)


def _update(  # noqa: PLR0917 - where, what, how
    cur: cursor, table: str, quoted: npt.NDArray[np.object_], cells: TableCells, kind: Kind, rewritten: Counter[str]
) -> int:
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
        rewritten[table] += cur.rowcount
        if cur.rowcount != len(block.dates):
            msg = (
                f"{table} lacks {len(block.dates) - cur.rowcount} of the {len(block.dates)} dates to be updated, which "
                "`prices` has: rows were deleted by hand. Restore them from a backup, or start anew: "
                f"{START_AGAIN}."
            )
            raise DatabaseError(msg)
    return len(cells.values)


def _stage(cur: cursor, staging: str, kind: Kind, block: TableCells) -> None:
    """One array per date: a table of two columns serves all groups, while 800 columns would swell the catalogue."""
    cur.execute("SELECT to_regclass(%s) IS NULL", (staging,))
    if cur.fetchall() == [(True,)]:
        # PLAIN: in a compressed value each element costs the whole array
        cur.execute(f"CREATE TEMPORARY TABLE {staging} (date date, v {kind.type}[]) ON COMMIT DELETE ROWS")
        cur.execute(f"ALTER TABLE {staging} ALTER v SET STORAGE PLAIN")
    else:
        cur.execute(f"TRUNCATE {staging}")
    # a fresh temporary table has no statistics: without this the whole history is read to join one row
    cur.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    copy_in(cur, f"COPY {staging} FROM STDIN (FORMAT binary)", iter([array_rows(block, kind.empty)]))
