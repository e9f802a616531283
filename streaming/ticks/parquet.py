"""A Parquet drop, or the row groups of it that begin in a range of bytes → ticks, rejects and counts.

A row's number stands for its line. What is nested, encrypted or has no columns of ours fails as a whole; what unpacks
to more than the limit too, so memory is bounded by it. Rows are read 262,144 at a time.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streaming.ticks.by_column import Columns
from streaming.ticks.columns import columns_of, ignored, places_of
from streaming.ticks.fields import shown
from streaming.ticks.gathering import Gathering
from streaming.ticks.layout import Layout
from streaming.ticks.names import MEANT, REQUIRED, is_second_key
from streaming.ticks.parquet_values import FAULTS, Tickers, dates, prices, volumes, wanted
from streaming.ticks.refusals import columns_lacking
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.packets import Int64
    from streaming.ticks.apart import Texts
    from streaming.ticks.rules import Rules

PARQUET = b"PAR1"
_ROWS = 1 << 18
_BYTES_OF_A_ROW = 64
_THRIFT = 16 << 20


def gathered(
    source: pa.NativeFile, start: int, end: int, rules: Rules, *, limit: int, most: int | None = None
) -> tuple[Gathering, int]:
    """The row groups that begin in [start, end), and how many rows they have.

    source: what `pyarrow` reads, with all bytes of the drop. limit: bytes that a row group may unpack to. most: of the
    batches of 262,144 rows, None for all.
    Raises UnreadableError for a drop that cannot be read, whatever the range.
    """
    try:
        file = _opened(source, [])
        layout = _layout(file.schema_arrow, rules)
        # tickers repeat; so do texts of the other columns, and what repeats need not be unpacked
        texts = [name for name in _names(layout) if _is_string(file.schema_arrow.field(name).type)]
        file = _opened(source, texts, file.metadata)
        groups = [number for number, at in _groups(file.metadata) if start <= at < end]
        _refuse_large(file.metadata, groups, set(_names(layout)), limit)
        gathering, rows = Gathering(layout, rules), 0
        tickers = Tickers(rules.fixed_ticker, gathering.codes_of)
        for batch in itertools.islice(_batches(file, layout, groups), most):
            _add(batch, layout, gathering, tickers, rows)
            rows += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, IndexError, KeyError, OverflowError) as error:
        said = str(error).strip().split("\n")[0][:200]
        kind = "encrypted" if "ncrypt" in said else "truncated or corrupt"
        msg = f"the Parquet file is {kind}: {said}"
        raise UnreadableError(msg) from None
    return gathering, rows


def texts_of_rows(source: pa.NativeFile, layout: Layout, limit: int) -> Texts:
    """Of all row groups: what stands in the columns of `Layout.second_key`."""

    def texts(wanted: Int64) -> Iterator[tuple[str, ...]]:
        file = _opened(source, [])
        groups = list(range(file.metadata.num_row_groups))
        _refuse_large(file.metadata, groups, set(layout.second_key), limit)
        first = 1
        for batch in file.iter_batches(_ROWS, groups, list(layout.second_key), use_threads=False):
            columns = [batch.column(name) for name in layout.second_key]
            for row in (wanted[(wanted >= first) & (wanted < first + len(batch))] - first).tolist():
                yield tuple(str(column[row].as_py()) for column in columns)
            first += len(batch)

    return texts


def _opened(source: pa.NativeFile, texts: list[str], metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """texts: columns that are read as codes of their values."""
    return pq.ParquetFile(
        source,
        metadata=metadata,
        read_dictionary=texts,
        thrift_string_size_limit=_THRIFT,
        thrift_container_size_limit=1 << 20,
        buffer_size=0 if isinstance(source, pa.BufferReader) else 1 << 20,  # no copy of what is in memory
    )


def _batches(file: pq.ParquetFile, layout: Layout, groups: list[int]) -> Iterator[pa.RecordBatch]:
    if groups:
        yield from file.iter_batches(_ROWS, groups, _names(layout), use_threads=False)


def _names(layout: Layout) -> list[str]:
    """The columns that are read."""
    read = {place for place in (*layout.columns, *(place for place, _ in layout.where)) if place is not None}
    return [layout.names[place] for place in sorted(read)]


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _layout(schema: pa.Schema, rules: Rules) -> Layout:
    names = list(schema.names)
    if len(names) > 10_000 or len(set(names)) < len(names):
        msg = f"the Parquet file has {len(names):,} columns, expected at most 10,000, each with a name of its own"
        raise UnreadableError(msg)
    places = places_of(names, rules)
    given = (rules.fixed_day is not None, rules.fixed_ticker is not None, False)
    lacking = [name for name, is_given in zip(REQUIRED, given, strict=False) if not is_given and not places[name]]
    if lacking:
        raise UnreadableError(columns_lacking(lacking, names))
    columns = columns_of(names, places, rules)
    for place, name in zip(columns, REQUIRED, strict=True):
        if place is not None and pa.types.is_nested(schema.field(place).type):
            msg = (
                f"the column {names[place]!r} of the Parquet file, the {MEANT[name]}, is nested: expected one value in "
                f"a row, got {schema.field(place).type}"
            )
            raise UnreadableError(msg)
    where = tuple((names.index(name), texts) for name, texts in rules.where.items() if name in names)
    if len(where) < len(rules.where):
        raise UnreadableError(columns_lacking([], names, where=list(rules.where)))
    used = {*columns, *(place for place, _ in where)}
    second = tuple(name for place, name in enumerate(names) if place not in used and is_second_key(name))
    return Layout(columns, tuple(names), 0, 0, ignored(names, used), second_key=second, where=where)


def _groups(metadata: pq.FileMetaData) -> Iterator[tuple[int, int]]:
    """Each row group, and the offset of its first byte."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        first = [group.column(place) for place in range(group.num_columns)]
        offsets = [column.dictionary_page_offset or column.data_page_offset for column in first]
        yield number, min(offsets, default=0)


def _refuse_large(metadata: pq.FileMetaData, groups: list[int], read: set[str], limit: int) -> None:
    for number in groups:
        group = metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        unpacked = sum(column.total_uncompressed_size for column in columns if column.path_in_schema in read)
        unpacked = max(unpacked, group.num_rows * _BYTES_OF_A_ROW)
        if unpacked > limit:
            msg = (
                f"the Parquet file unpacks to more than {limit:,} bytes in one row group, the limit for what cannot be "
                f"split: {group.num_rows:,} rows, {unpacked:,} bytes; write smaller row groups"
            )
            raise UnreadableError(msg)


def _add(batch: pa.RecordBatch, layout: Layout, gathering: Gathering, tickers: Tickers, before: int) -> None:
    rules, rows = gathering.rules, batch.num_rows
    number = np.arange(before + 1, before + rows + 1)
    chosen = wanted(batch, layout)
    if chosen is not None:
        gathering.passed_over += int((~chosen).sum())
        batch, number = batch.filter(pa.array(chosen)), number[chosen]
    date, ticker, price, volume = (
        None if place is None else batch.column(layout.names[place]) for place in layout.columns
    )
    days, timed, bad_date = dates(date, batch.num_rows, rules)
    codes, bad_id = tickers.of(ticker, batch.num_rows)
    values, missing, bad_price = prices(price, rules)
    columns = Columns(number, codes, days, values, volumes(volume, batch.num_rows, rules))
    bad = bad_date | bad_id | missing | bad_price
    if not bad.any():
        gathering.timed = gathering.timed or bool(timed.any())
        gathering.add_columns(columns, lambda row: _shown(batch, row))
        return
    faults = np.select([bad_date, bad_id, missing, bad_price], [1, 2, 3, 4], 0)
    for row in np.flatnonzero(faults).tolist():
        gathering.reject(int(number[row]), _shown(batch, row), FAULTS[int(faults[row])])
    good = faults == 0
    gathering.timed = gathering.timed or bool((timed & good).any())
    places = np.flatnonzero(good)
    gathering.add_columns(columns.take(places), lambda row: _shown(batch, int(places[row])))


def _shown(batch: pa.RecordBatch, row: int) -> str:
    text = ", ".join(str(column[row].as_py()) for column in batch.columns)
    return shown(text.encode(errors="replace"))
