"""Many changed cells of a ticker as rows of `stocketl.correction_runs`: a row holds the cells of some dates as arrays.

Delivery: that of the caller's transaction.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.database.binary_copy import (
    DATE,
    DATE_FIELD,
    DAYS_TO_2000,
    FIELD,
    FLOAT8,
    INT8,
    SECONDS_TO_2000,
    Stream,
    made_ahead,
)
from streaming.packets import UNKNOWN_VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor

    from streaming.packets import Int64

SHORTEST = 8
"""Fewer cells are written as single rows, as a file of one day brings them."""

LONGEST = 64
"""Two such runs fit on a page of the database."""

_PARTS_AT_ONCE = 4_096  # half a megabyte

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
_VALUES = {  # column of `corrections.SCHEMA` -> that of the table, and what stands for null
    "price_before": ("prices_before", 0.0),
    "price_after": ("prices_after", 0.0),
    "volume_before": ("volumes_before", UNKNOWN_VOLUME),
    "volume_after": ("volumes_after", UNKNOWN_VOLUME),
    "return_before": ("returns_before", np.nan),
    "return_after": ("returns_after", np.nan),
}
_COLUMNS = ", ".join(["seq", "id", "first_date", "dates", *(column for column, _ in _VALUES.values()), "at"])
_HEAD = struct.Struct(">hiqi")  # how many fields; seq with its length; the length of the ticker
_FIRST_DATE = struct.Struct(">ii")
_ARRAY = struct.Struct(">6i")  # length in bytes; dimensions, has-nulls, type, length, first index
_AT = struct.Struct(">iq")
_NULL = struct.pack(">i", -1)
_AS_BEFORE = {"price_after": "price_before", "volume_after": "volume_before"}  # left out where they are the same


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

    single: pa.Table
    runs: pa.Table
    starts: Int64


def split(rows: pa.Table) -> Split:
    """rows: with the columns of `corrections.SCHEMA` in one dictionary, distinct (seq, date, id), at least one.

    They are not sorted: where dates of a ticker do not follow one another, the runs are shorter.
    """
    seq, code = rows["seq"].to_numpy(), rows["id"].combine_chunks().indices.to_numpy()
    days = rows["date"].cast(pa.int32()).to_numpy()
    follows = (seq[1:] == seq[:-1]) & (code[1:] == code[:-1]) & (days[1:] > days[:-1])
    place = np.arange(len(seq))
    within = place - np.maximum.accumulate(np.where(np.append(False, follows), 0, place))
    length = np.diff(np.append(np.flatnonzero(within % LONGEST == 0), len(seq)))
    is_run = length >= SHORTEST
    starts = np.concatenate([[0], np.cumsum(length[is_run])])
    if is_run.all():
        return Split(rows.slice(0, 0), rows, starts)
    in_run = pa.array(np.repeat(is_run, length))
    return Split(rows.filter(pc.invert(in_run)), rows.filter(in_run), starts)


def copy(cur: cursor, runs: pa.Table, starts: Int64) -> None:
    """Writes the runs of a `Split`."""
    cur.copy_expert(
        f"COPY stocketl.correction_runs ({_COLUMNS}) FROM STDIN (FORMAT binary)",
        Stream(made_ahead(_rows(runs, starts))),
    )


def spread(cur: cursor, staged: str) -> None:
    """Makes single rows of the runs that have a drop and a ticker of this table."""
    cur.execute(_SPREAD.format(staged=staged))


def _rows(runs: pa.Table, starts: Int64) -> Iterator[bytes]:
    """Some rows at a time. The elements of all arrays are made at once, then cut."""
    days = runs["date"].cast(pa.int32()).to_numpy() - DAYS_TO_2000
    dates = np.zeros(len(days), DATE_FIELD)
    dates["length"], dates["date"] = 4, days
    first = starts[:-1]
    arrays = [_Elements(DATE, dates.itemsize, memoryview(dates.tobytes()), [True] * len(first))]
    values = {name: runs[name].fill_null(empty).to_numpy() for name, (_, empty) in _VALUES.items()}
    for name, column in values.items():
        fields = np.zeros(len(column), FIELD)
        fields["length"], fields["value"] = 8, column.view(np.int64)
        there = np.ones(len(first), np.bool_)
        if name in _AS_BEFORE:
            there = np.logical_or.reduceat(column.view(np.int64) != values[_AS_BEFORE[name]].view(np.int64), first)
        oid = FLOAT8 if column.dtype.kind == "f" else INT8
        arrays.append(_Elements(oid, fields.itemsize, memoryview(fields.tobytes()), there.tolist()))
    each = (runs[name].take(pa.array(first)).to_pylist() for name in ("seq", "id"))
    ats = runs["at"].take(pa.array(first)).cast(pa.int64()).to_pylist()
    rows: list[bytes | memoryview] = []
    borders = zip(first.tolist(), starts[1:].tolist(), strict=True)
    for number, (seq, ticker, at, (begin, end)) in enumerate(zip(*each, ats, borders, strict=True)):
        name = ticker.encode()
        rows += (_HEAD.pack(4 + len(arrays), 8, seq, len(name)), name, _FIRST_DATE.pack(4, days[begin]))
        for oid, size, elements, is_there in arrays:
            if is_there[number]:
                rows.append(_ARRAY.pack(20 + (end - begin) * size, 1, 0, oid, end - begin, 1))
                rows.append(elements[begin * size : end * size])
            else:
                rows.append(_NULL)
        rows.append(_AT.pack(8, at - SECONDS_TO_2000 * 1_000_000))
        if len(rows) > _PARTS_AT_ONCE:
            yield b"".join(rows)
            rows.clear()
    yield b"".join(rows)
