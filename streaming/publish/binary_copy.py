"""PostgreSQL's binary COPY format, built from numpy columns without a look at single cells.

The format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". All numbers are big-endian; a field
is its length in bytes, then its bytes; length -1 is NULL. An array field holds five numbers (dimensions, has-nulls,
element type, length, first index), then its elements as fields.
"""

from __future__ import annotations

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streaming.distinct import distinct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

    from streaming.packets import Float64, Int32, Int64

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
CELLS_AT_ONCE = 1 << 18  # 3 MB of fields: sparse changes must not make a matrix of any size

_DAYS_TO_2000 = 10957  # 1970-01-01 to 2000-01-01, where PostgreSQL counts from
_FIELD = np.dtype([("length", ">i4"), ("value", ">i8")])
_DATE_ROW = np.dtype([("fields", ">i2"), ("length", ">i4"), ("date", ">i4")])
_ARRAY = np.dtype([("length", ">i4"), ("head", ">i4", 5)])
_TYPE_OID = {"f": 701, "i": 20}  # double precision, bigint


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


class Stream(io.RawIOBase):
    """What `copy_expert` reads from: pieces of bytes, framed by the header and the trailer."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = itertools.chain([HEADER], pieces, [TRAILER])
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer from the piece at hand; 0 at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        into = memoryview(buffer)
        size = min(len(into), len(self._rest))
        into[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def made_ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, each made while the server takes the one before."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield piece


def wide_rows(cells: TableCells) -> bytes:
    """One row per date: the date, then a field for each column, NULL where there is no cell."""
    shape = (len(cells.dates), cells.width)
    filled = np.zeros(shape, bool)
    filled[cells.row, cells.column] = True
    fields = np.zeros(shape, _FIELD)
    fields["length"] = np.where(filled, 8, -1)
    fields["value"][cells.row, cells.column] = cells.values.view(np.int64)
    head = np.zeros(shape[0], _DATE_ROW)
    head["fields"], head["length"], head["date"] = 1 + cells.width, 4, cells.dates - _DAYS_TO_2000
    kept = np.ones((*shape, _FIELD.itemsize), bool)
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
    fields = np.zeros(shape, _FIELD)
    fields["length"], fields["value"] = 8, values.view(np.int64)
    head = np.zeros(shape[0], _DATE_ROW)
    head["fields"], head["length"], head["date"] = 2, 4, cells.dates - _DAYS_TO_2000
    array = np.zeros(shape[0], _ARRAY)
    array["length"] = 20 + cells.width * _FIELD.itemsize
    array["head"] = (1, 0, _TYPE_OID[cells.values.dtype.kind], cells.width, 1)
    rows: npt.NDArray[np.uint8] = np.hstack([_bytes(head), _bytes(array), _bytes(fields)])
    return rows.tobytes()


def _bytes(rows: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    return rows.view(np.uint8).reshape(len(rows), -1)
