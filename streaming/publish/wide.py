"""Changes become cells of the wide tables: `prices`, `returns`, `volume`, then `prices_2` and so on, one row per date.

Delivery: that of the caller's transaction, in which everything here happens. Rows for new dates are copied straight
into the table; in rows that exist only the changed cells are set, through a small temporary table.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from psycopg2 import sql

from streaming import faults
from streaming.database.binary_copy import copy_in, made_ahead
from streaming.distinct import order_of, values_of
from streaming.errors import START_AGAIN, DatabaseError
from streaming.ledger.tickers import wide_name
from streaming.packets import PRICE_CHANGED, RETURN_CHANGED, UNKNOWN_VOLUME, VOLUME_CHANGED
from streaming.publish import latest
from streaming.publish.column_order import ColumnOrder
from streaming.publish.wide_copy import CELLS_AT_ONCE, TableCells, array_rows, wide_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    from psycopg2.extensions import cursor

    from streaming.ledger.tickers import Place
    from streaming.packets import Changes, Int32, Int64


class Kind(NamedTuple):
    """One of the three tables of a group.

    values: where `Changes` has them; empty: stands for "no cell" where a value must be given.
    """

    table: str
    type: str
    values: str
    changed: int
    empty: float


_PRICES = Kind("prices", "double precision", "price", PRICE_CHANGED, float("nan"))
_RETURNS = Kind("returns", "double precision", "returns", RETURN_CHANGED, float("nan"))
_VOLUME = Kind("volume", "bigint", "volume", VOLUME_CHANGED, UNKNOWN_VOLUME)
KINDS = (_PRICES, _RETURNS, _VOLUME)


@dataclass(frozen=True, slots=True)
class _Group:
    """The changes of the tickers of one table number, in order of date.

    at: int64 [n], places among all changes; row: int32 [n], of `dates`; column_of: int32 [tickers], of `columns`. Only
    what is written next is fetched from the changes: memory for all of a large batch takes longer to get than to use.
    """

    table_no: int
    columns: list[str]
    dates: Int32
    at: Int64
    row: Int32
    column_of: Int32
    changes: Changes

    def pieces(self) -> Iterator[_Group]:
        """Some dates at a time."""
        step = max(1, CELLS_AT_ONCE // max(len(self.columns), 1))
        for start in range(0, len(self.dates), step):
            dates = self.dates[start : start + step]
            low, high = np.searchsorted(self.row, np.array([start, start + len(dates)], np.int32))
            yield replace(self, dates=dates, at=self.at[low:high], row=self.row[low:high] - np.int32(start))

    def on(self, chosen: npt.NDArray[np.bool_]) -> _Group:
        """The changes on some of the dates."""
        if chosen.all():
            return self
        there = chosen[self.row]
        row = (np.cumsum(chosen) - 1).astype(np.int32)[self.row[there]]
        return replace(self, dates=self.dates[chosen], at=self.at[there], row=row)

    def cells(self, kind: Kind) -> TableCells:
        """Changed cells that hold a value. All dates are in the result."""
        values = getattr(self.changes, kind.values)[self.at]
        empty = np.isnan(values) if kind.type == "double precision" else values == kind.empty
        there = np.flatnonzero(((self.changes.changed[self.at] & kind.changed) != 0) & ~empty)
        row, column = self.row[there], self.column_of[self.changes.code[self.at[there]]]
        return TableCells(self.dates, len(self.columns), row.astype(np.int64), column.astype(np.int64), values[there])

    def used(self, kind: Kind) -> Int64:
        """The columns that have a cell, ascending."""
        used = np.zeros(len(self.columns), np.bool_)
        for piece in self.pieces():
            used[piece.cells(kind).column] = True
            if used.all():
                break
        return np.flatnonzero(used)


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
    order = order_of(table_of_code[changes.code], changes.date)
    tables = table_of_code[changes.code[order]]
    numbers, starts = np.unique(tables, return_index=True)
    ends = [*starts[1:], len(order)]
    for table_no, start, end in zip(numbers.tolist(), starts, ends, strict=False):
        at = order[start:end]
        date = changes.date[at]
        new_date = np.diff(date, prepend=date[:1] - 1) != 0
        codes = values_of(changes.code[at])
        column_of = np.zeros(len(changes.ids), np.int32)
        column_of[codes] = np.arange(len(codes))
        yield _Group(
            table_no,
            [place_of_code[code][0] for code in codes.tolist()],
            date[new_date],
            at,
            np.cumsum(new_date, dtype=np.int32) - np.int32(1),
            column_of,
            changes,
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
            written += _copy(cur, table, (quoted, place), group.on(new), kind)
        if not new.all():
            written += _update(cur, table, quoted, group.on(~new).cells(kind), kind, rewritten)
        faults.reach("writing")
    return written


def _exists(cur: cursor, table: sql.Identifier, dates: Int32) -> npt.NDArray[np.bool_]:
    """Whether each date has a row (it has one in all three tables of the group, or in none)."""
    wanted = sql.Literal(dates.astype("datetime64[D]").tolist())
    cur.execute(sql.SQL("SELECT date - DATE '1970-01-01' FROM {} WHERE date = ANY({})").format(table, wanted))
    return np.isin(dates, np.array([day for (day,) in cur.fetchall()], np.int32))


def _copy(
    cur: cursor, table: str, columns: tuple[npt.NDArray[np.object_], dict[str, int] | None], group: _Group, kind: Kind
) -> int:
    """New rows, one for each date, even if it has no cell in this table.

    columns: their names, quoted, and the place of each in the table, if it need not be named.
    """
    used = group.used(kind)
    quoted, place = columns
    wanted = [group.columns[column] for column in used.tolist()]
    column = np.zeros(len(group.columns), np.int64)
    if place is not None and len(place) <= 2 * len(wanted) and all(name in place for name in wanted):
        width, listed = len(place), ""
        column[used] = [place[name] for name in wanted]
    else:
        width, listed = len(used), f" ({', '.join(['date', *quoted[used]])})"
        column[used] = np.arange(len(used))
    written = 0

    def rows() -> Iterator[bytes]:
        nonlocal written
        for piece in group.pieces():
            cells = piece.cells(kind)
            written += len(cells.values)
            yield wide_rows(TableCells(cells.dates, width, cells.row, column[cells.column], cells.values))

    copy_in(cur, f"COPY {table}{listed} FROM STDIN (FORMAT binary)", made_ahead(rows()))
    return written


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
