"""The rows of the wide tables for a binary COPY, built from numpy columns without a look at single cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streaming.database.binary_copy import ARRAY, DATE_FIELD, DAYS_TO_2000, FIELD, FLOAT8, INT8
from streaming.distinct import distinct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.packets import Float64, Int32, Int64

CELLS_AT_ONCE = 1 << 18  # 3 MB of fields: sparse changes must not make a matrix of any size

_DATE_ROW = np.dtype([("fields", ">i2"), *DATE_FIELD.descr])
_TYPE_OID = {"f": FLOAT8, "i": INT8}


@dataclass(frozen=True, slots=True)
class TableCells:
    """Some cells of one table, in order of row.

    dates: int32 [rows], days since 1970-01-01; row, column: int64 [n], positions in `dates` and among `width` columns;
    values: float64 or int64 [n].
    """

    dates: Int32
    width: int
    row: Int64
    column: Int64
    values: Float64 | Int64

    def without_empty_columns(self) -> tuple[TableCells, Int64]:
        """The cells among the columns that have any, and these columns' old positions."""
        used, column = distinct(self.column)
        return TableCells(self.dates, len(used), self.row, column, self.values), used

    def without_empty_rows(self) -> TableCells:
        """The cells among the dates that have any."""
        used, row = distinct(self.row)
        return TableCells(self.dates[used], self.width, row, self.column, self.values)

    def slices(self) -> Iterator[TableCells]:
        """The same cells in pieces that make a matrix of at most `CELLS_AT_ONCE` cells (or of one row)."""
        step = max(1, CELLS_AT_ONCE // max(self.width, 1))
        for start in range(0, len(self.dates), step):
            dates = self.dates[start : start + step]
            low, high = np.searchsorted(self.row, [start, start + len(dates)])
            piece = slice(low, high)
            yield TableCells(dates, self.width, self.row[piece] - start, self.column[piece], self.values[piece])


def wide_rows(cells: TableCells) -> bytes:
    """One row per date: the date, then a field for each column, NULL where there is no cell."""
    shape = (len(cells.dates), cells.width)
    filled = np.zeros(shape, bool)
    filled[cells.row, cells.column] = True
    fields = np.zeros(shape, FIELD)
    fields["length"] = np.where(filled, 8, -1)
    fields["value"][cells.row, cells.column] = cells.values.view(np.int64)
    head = np.zeros(shape[0], _DATE_ROW)
    head["fields"], head["length"], head["date"] = 1 + cells.width, 4, cells.dates - DAYS_TO_2000
    if filled.all():
        return np.hstack([_bytes(head), _bytes(fields)]).tobytes()
    kept = np.ones((*shape, FIELD.itemsize), bool)
    kept[:, :, 4:] = filled[:, :, None]
    kept_rows: npt.NDArray[np.bool_] = np.hstack(
        [np.ones((shape[0], _DATE_ROW.itemsize), bool), kept.reshape(shape[0], -1)]
    )
    rows: npt.NDArray[np.uint8] = np.hstack([_bytes(head), _bytes(fields)])
    taken: npt.NDArray[np.uint8] = rows[kept_rows]
    return taken.tobytes()


def array_rows(cells: TableCells, empty: float) -> bytes:
    """One row per date: the date, then all columns as one array without NULLs, `empty` where there is no cell."""
    shape = (len(cells.dates), cells.width)
    values = np.full(shape, empty, cells.values.dtype)
    values[cells.row, cells.column] = cells.values
    fields = np.zeros(shape, FIELD)
    fields["length"], fields["value"] = 8, values.view(np.int64)
    head = np.zeros(shape[0], _DATE_ROW)
    head["fields"], head["length"], head["date"] = 2, 4, cells.dates - DAYS_TO_2000
    array = np.zeros(shape[0], ARRAY)
    array["length"] = 20 + cells.width * FIELD.itemsize
    array["head"] = (1, 0, _TYPE_OID[cells.values.dtype.kind], cells.width, 1)
    rows: npt.NDArray[np.uint8] = np.hstack([_bytes(head), _bytes(array), _bytes(fields)])
    return rows.tobytes()


def _bytes(rows: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    return rows.view(np.uint8).reshape(len(rows), -1)
