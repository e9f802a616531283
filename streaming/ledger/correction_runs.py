"""Many changed cells of a ticker as rows of `stocketl.correction_runs`: a row holds the cells of some dates as arrays.

The bytes of the rows can be made anywhere, without a database: the state's workers make those of whole drops.
Delivery of `copy`: that of the caller's transaction.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from streaming.corrections import Corrections
from streaming.database.binary_copy import (
    DATE,
    DATE_FIELD,
    DAYS_TO_2000,
    FIELD,
    FLOAT8,
    INT8,
    SECONDS_TO_2000,
    copy_in,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from psycopg2.extensions import cursor

    from streaming.packets import Float64, Int64

SHORTEST = 8
"""Fewer cells are written as single rows, as a file of one day brings them."""

LONGEST = 64
"""Two such runs fit on a page of the database."""

SCHEMA = pa.schema([("seq", pa.int64()), ("cells", pa.int64()), ("row", pa.large_binary())])
"""A run: its drop, how many cells it has, and its row as PostgreSQL's binary COPY wants it."""

_SPREAD = """
    WITH taken AS (
        DELETE FROM stocketl.correction_runs r USING (SELECT DISTINCT seq, id FROM {staged}) s
         WHERE r.seq = s.seq AND r.id = s.id RETURNING r.*
    )
    INSERT INTO stocketl.correction_cells
    SELECT t.seq, c.date, t.id, c.price_before, coalesce(c.price_after, c.price_before), nullif(c.volume_before, -1),
           nullif(coalesce(c.volume_after, c.volume_before), -1), nullif(c.return_before, 'NaN'),
           nullif(c.return_after, 'NaN'), t.at
      FROM taken t
     CROSS JOIN LATERAL unnest(t.dates, t.prices_before, t.prices_after, t.volumes_before, t.volumes_after,
                               t.returns_before, t.returns_after)
             AS c (date, price_before, price_after, volume_before, volume_after, return_before, return_after)
"""
_COLUMNS = (
    "seq, id, first_date, dates, prices_before, prices_after, volumes_before, volumes_after, returns_before, "
    "returns_after"
)
_HEAD = struct.Struct(">hiqi")  # how many fields; seq with its length; the length of the ticker
_FIRST_DATE = struct.Struct(">ii")
_ARRAY = struct.Struct(">6i")  # length in bytes; dimensions, has-nulls, type, length, first index
_AT = struct.Struct(">iq")
_NULL = struct.pack(">i", -1)
_PIECE = 1 << 20


class _Elements(NamedTuple):
    """Those of all arrays of a column, as fields; of each run, whether it has an array."""

    oid: int
    size: int
    fields: memoryview
    is_there: list[bool]


class Split(NamedTuple):
    """Changed cells by how they are kept.

    single: those that are rows of their own; runs: the others; starts: int64 [runs + 1], where each run begins, and
    the end.
    """

    single: Corrections
    runs: Corrections
    starts: Int64


def split(cells: Corrections, apart: Collection[int] = ()) -> Split:
    """The cells need not be sorted: where dates of a ticker do not follow one another, the runs are shorter.

    apart: drops whose cells are all to be single.
    """
    if not len(cells):
        return Split(cells, cells, np.zeros(1, np.int64))
    seq, code, date = cells.seq, cells.code, cells.date
    follows = (seq[1:] == seq[:-1]) & (code[1:] == code[:-1]) & (date[1:] > date[:-1])
    place = np.arange(len(seq))
    within = place - np.maximum.accumulate(np.where(np.append(False, follows), 0, place))
    length = np.diff(np.append(np.flatnonzero(within % LONGEST == 0), len(seq)))
    is_run = length >= SHORTEST
    if apart:
        is_run &= ~np.isin(seq[within % LONGEST == 0], list(apart))
    starts = np.concatenate([[0], np.cumsum(length[is_run])])
    if is_run.all():
        return Split(Corrections.empty(), cells, starts)
    in_run = np.repeat(is_run, length)
    return Split(cells.take(np.flatnonzero(~in_run)), cells.take(np.flatnonzero(in_run)), starts)


def encoded(runs: Corrections, starts: Int64, at: Int64 | None = None) -> pa.Table:
    """The rows of a `Split`, with the columns of `SCHEMA`.

    at: int64 [runs], microseconds since 1970-01-01 UTC; without it a row says when it was written.
    """
    rows = list(_rows(runs, starts, at))
    ends = np.concatenate([[0], np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)))])
    data = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(rows), [None, pa.py_buffer(ends.astype(np.int64)), pa.py_buffer(b"".join(rows))]
    )
    return pa.table([runs.seq[starts[:-1]], np.diff(starts), data], SCHEMA)


def copy(cur: cursor, runs: pa.Table, *, with_at: bool = False) -> None:
    """Writes encoded rows. with_at: whether they say themselves when they were written."""
    columns = f"{_COLUMNS}, at" if with_at else _COLUMNS
    statement = f"COPY stocketl.correction_runs ({columns}) FROM STDIN (FORMAT binary)"
    copy_in(cur, statement, _pieces(runs["row"].chunks), _PIECE)


def spread(cur: cursor, staged: str) -> None:
    """Makes single rows of the runs that have a drop and a ticker of this table."""
    cur.execute(_SPREAD.format(staged=staged))


def _rows(runs: Corrections, starts: Int64, at: Int64 | None) -> Iterator[bytes]:
    """The elements of all arrays are made at once, then cut."""
    first = starts[:-1]
    days = runs.date - np.int32(DAYS_TO_2000)
    dates = np.empty(len(days), DATE_FIELD)
    dates["length"], dates["date"] = 4, days
    arrays = [_Elements(DATE, dates.itemsize, dates.view(np.uint8).data, [True] * len(first))]
    columns: zip[tuple[Float64 | Int64, Float64 | Int64]] = zip(runs.before, runs.after, strict=True)
    for before, after in columns:
        differ = before.view(np.int64) != after.view(np.int64)
        there = [True] * len(first)
        if before is not runs.before.returns:  # left out where all are as before
            there = np.logical_or.reduceat(differ, first).tolist() if len(first) else []
        arrays += [_elements(before, [True] * len(first)), _elements(after, there)]
    ids = [ticker.encode() for ticker in runs.ids]
    names = [ids[code] for code in runs.code[first].tolist()]
    head_fields = len(_COLUMNS.split(",")) + (at is not None)
    ats = [b""] * len(first) if at is None else [_AT.pack(8, one - SECONDS_TO_2000 * 1_000_000) for one in at.tolist()]
    each = zip(runs.seq[first].tolist(), names, days[first].tolist(), first.tolist(), starts[1:].tolist(), strict=True)
    for number, (seq, name, day, begin, end) in enumerate(each):
        parts: list[bytes | memoryview] = [
            _HEAD.pack(head_fields, 8, seq, len(name)),
            name,
            _FIRST_DATE.pack(4, day),
        ]
        for oid, size, fields, is_there in arrays:
            if is_there[number]:
                parts.append(_ARRAY.pack(20 + (end - begin) * size, 1, 0, oid, end - begin, 1))
                parts.append(fields[begin * size : end * size])
            else:
                parts.append(_NULL)
        parts.append(ats[number])
        yield b"".join(parts)


def _elements(column: Float64 | Int64, is_there: list[bool]) -> _Elements:
    fields = np.empty(len(column), FIELD)
    fields["length"], fields["value"] = 8, column.view(np.int64)
    oid = FLOAT8 if column.dtype.kind == "f" else INT8
    return _Elements(oid, fields.itemsize, fields.view(np.uint8).data, is_there)


def _pieces(chunks: Iterable[pa.LargeBinaryArray]) -> Iterator[memoryview]:
    """The bytes of all rows, one after the other."""
    for chunk in chunks:
        if len(chunk):
            _, offsets, data = chunk.buffers()
            ends = np.frombuffer(offsets, np.int64, len(chunk) + 1, 8 * chunk.offset)
            yield memoryview(data).cast("B")[int(ends[0]) : int(ends[-1])]
