"""Many changed cells of a ticker as rows of `stocketl.correction_runs`: a row holds the cells of some dates as arrays.

Delivery: that of the caller's transaction.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

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
from streaming.distinct import distinct
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
    SELECT t.seq, c.date, t.id, c.price_before, c.price_after, nullif(c.volume_before, -1), nullif(c.volume_after, -1),
           nullif(c.return_before, 'NaN'), nullif(c.return_after, 'NaN'), t.at
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


class Split(NamedTuple):
    """Changed cells by how they are kept.

    single: those that are rows of their own; runs: the others, in order of seq, ticker and date; starts: int64
    [runs + 1], where each run begins, and the end.
    """

    single: pa.Table
    runs: pa.Table
    starts: Int64


def split(rows: pa.Table) -> Split:
    """rows: with the columns of `corrections.SCHEMA` in one dictionary, distinct (seq, date, id), at least one."""
    order, group = _ordered(rows)
    is_first = np.diff(group, prepend=-1) != 0
    place = np.arange(len(order))
    within = place - np.maximum.accumulate(np.where(is_first, place, 0))
    length = np.diff(np.append(np.flatnonzero(within % LONGEST == 0), len(order)))
    is_run = length >= SHORTEST
    in_run = np.repeat(is_run, length)
    starts = np.concatenate([[0], np.cumsum(length[is_run])])
    return Split(rows.take(pa.array(order[~in_run])), rows.take(pa.array(order[in_run])), starts)


def _ordered(rows: pa.Table) -> tuple[Int64, Int64]:
    """The order of seq, ticker and date; then a number for seq and ticker of each row in it."""
    ids = rows["id"].combine_chunks()
    drops, drop = distinct(rows["seq"].to_numpy())
    group = drop * len(ids.dictionary) + ids.indices.to_numpy()
    date = rows["date"].cast(pa.int32()).to_numpy()
    # they come by ticker and date, and numpy sorts small numbers by counting them
    small = len(drops) * len(ids.dictionary) <= np.iinfo(np.uint16).max
    order = np.argsort(group.astype(np.uint16) if small else group, kind="stable")
    group = group[order]
    if ((np.diff(group) == 0) & (np.diff(date[order]) < 0)).any():
        order = np.lexsort((date, drop * len(ids.dictionary) + ids.indices.to_numpy()))
    return order, group


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
    arrays = [(DATE, dates)]
    for name, (_, empty) in _VALUES.items():
        values = runs[name].fill_null(empty).to_numpy()
        fields = np.zeros(len(values), FIELD)
        fields["length"], fields["value"] = 8, values.view(np.int64)
        arrays.append((FLOAT8 if values.dtype.kind == "f" else INT8, fields))
    cut = [(oid, fields.itemsize, memoryview(fields.tobytes())) for oid, fields in arrays]
    first = pa.array(starts[:-1])
    each = (runs[name].take(first).to_pylist() for name in ("seq", "id"))
    ats = runs["at"].take(first).cast(pa.int64()).to_pylist()
    rows: list[bytes | memoryview] = []
    for seq, ticker, at, begin, end in zip(*each, ats, starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        name = ticker.encode()
        rows += (_HEAD.pack(4 + len(cut), 8, seq, len(name)), name, _FIRST_DATE.pack(4, days[begin]))
        for oid, size, elements in cut:
            rows.append(_ARRAY.pack(20 + (end - begin) * size, 1, 0, oid, end - begin, 1))
            rows.append(elements[begin * size : end * size])
        rows.append(_AT.pack(8, at - SECONDS_TO_2000 * 1_000_000))
        if len(rows) > _PARTS_AT_ONCE:
            yield b"".join(rows)
            rows.clear()
    yield b"".join(rows)
