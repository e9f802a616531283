"""A wide table of the database as arrays, read by COPY to the bit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor

    from streaming.packets import Int32

ABSENT = "-"

Values = npt.NDArray[Any]  # float64 or int64, as the query asks PostgreSQL for
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """Some tickers of one table. date: int32 [rows], sorted; values, there: [rows, columns]."""

    date: Int32
    columns: list[str]
    values: Values
    there: Mask

    @classmethod
    def empty(cls, dates: Int32, columns: list[str], dtype: npt.DTypeLike) -> Grid:
        """Rows for these dates without a cell."""
        shape = (len(dates), len(columns))
        return cls(dates, columns, np.zeros(shape, dtype), np.zeros(shape, bool))

    def on(self, dates: Int32) -> Grid:
        """The same cells on more dates."""
        wider = Grid.empty(dates, self.columns, self.values.dtype)
        rows = np.searchsorted(dates, self.date)
        wider.values[rows], wider.there[rows] = self.values, self.there
        return wider

    def text(self, row: int, column: int) -> str:
        """A cell as it is printed."""
        return text_of(self.values[row, column], self.there[row, column])


def read_grid(
    cur: cursor,
    name: str,
    columns: dict[str, str],
    dtype: npt.DTypeLike,
    days: tuple[int, int] | None = None,
    *,
    only: Sequence[int] | None = None,
) -> tuple[Grid, set[str]]:
    """The columns {ticker: column} of a wide table, empty where they are not there; and all columns that are there.

    days: the first and the last date, both included; None: all. only: these dates.
    """
    cur.execute("SELECT wide_schema FROM stocketl.writer")
    table = sql.Identifier(cur.fetchall()[0][0], name)
    cur.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        (table.as_string(cur),),
    )
    have = {column for (column,) in cur.fetchall()}
    if "date" not in have:
        return Grid.empty(np.empty(0, np.int32), list(columns), dtype), have
    wanted = [(number, column) for number, column in enumerate(columns.values()) if column in have]
    names = sql.SQL(", ").join([sql.SQL("date - DATE '1970-01-01'"), *(sql.Identifier(column) for _, column in wanted)])
    chosen: sql.Composable = sql.SQL("")
    if days is not None:
        between = sql.SQL("WHERE date BETWEEN DATE '1970-01-01' + {} AND DATE '1970-01-01' + {}")
        chosen = between.format(*map(sql.Literal, days))
    if only is not None:  # found by the key, one by one
        dates = sql.SQL(", ").join(sql.SQL("DATE '1970-01-01' + {}").format(sql.Literal(day)) for day in only)
        chosen = sql.SQL("WHERE date = ANY(ARRAY[{}]::date[])").format(dates)
    query = sql.SQL("SELECT {} FROM {} {} ORDER BY date").format(names, table, chosen)
    rows = _copied(cur, query, len(wanted), dtype)
    grid = Grid.empty(rows.column(0).to_numpy(), list(columns), dtype)
    for place, (number, _) in enumerate(wanted, 1):
        values = rows.column(place)
        grid.values[:, number] = values.fill_null(0).to_numpy()
        grid.there[:, number] = values.is_valid().to_numpy()
    return grid, have


def filled(cur: cursor, name: str, columns: list[str]) -> list[str]:
    """The columns of a wide table that are not empty."""
    if not columns:
        return []
    cur.execute("SELECT wide_schema FROM stocketl.writer")
    table = sql.Identifier(cur.fetchall()[0][0], name)
    counts = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(column)) for column in columns)
    cur.execute(sql.SQL("SELECT {} FROM {}").format(counts, table))
    return [column for column, count in zip(columns, cur.fetchall()[0], strict=True) if count]


def _copied(cur: cursor, query: sql.Composed, columns: int, dtype: npt.DTypeLike) -> pa.Table:
    """A query's rows: an int32, then columns of one type. A float64 comes back to the bit."""
    buffer = io.BytesIO()
    cur.copy_expert(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query), buffer)
    names = ["date", *(str(number) for number in range(columns))]
    types = {"date": pa.int32()} | dict.fromkeys(names[1:], pa.from_numpy_dtype(dtype))
    if not buffer.tell():
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    buffer.seek(0)
    return pyarrow.csv.read_csv(
        buffer,
        pyarrow.csv.ReadOptions(column_names=names, block_size=16 << 20),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, null_values=[""]),
    )


def text_of(value: np.generic, there: object) -> str:
    """A cell as it is printed: all digits, or `-` if it is empty."""
    return repr(value.item()) if there else ABSENT
