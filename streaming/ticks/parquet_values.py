"""Columns of a Parquet file of any type → days, ticker codes, prices and volumes, each with where it is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.packets import UNKNOWN_VOLUME, Float64, Int32, Int64
from streaming.ticks.by_value import BAD
from streaming.ticks.fields import BLANKS, MAX_PRICE, MAX_VOLUME, MIN_PRICE, UNREADABLE, day_number

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules

    Bool = npt.NDArray[np.bool_]

Value = TypeVar("Value")
FAULTS = ("", "bad-date", "bad-id", "missing-price", "bad-price")
_FIRST, _LAST = day_number(1800, 1, 1), day_number(2199, 12, 31)
_DAY_NS = 86_400_000_000_000


def dates(column: pa.Array | None, rows: int, rules: Rules) -> tuple[Int32, Bool, Bool]:
    """Days since 1970-01-01; which rows have a time of day; which have no date."""
    if column is None:
        return np.full(rows, rules.fixed_day, np.int32), np.zeros(rows, bool), np.zeros(rows, bool)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _days(column, rules.zone)
    dated = _by_value(column, rules.day, None)
    days = np.array([BAD if found is None else found[0] for found in dated[0]], np.int32)[dated[1]]
    timed = np.array([found is not None and found[1] for found in dated[0]], np.bool_)[dated[1]]
    return days, timed, days == BAD


def _days(column: pa.Array, wanted_zone: str | None) -> tuple[Int32, Bool, Bool]:
    """Of dates, and of times: the day in the zone that profile or file names; in UTC alone only midnight is a day."""
    if pa.types.is_date32(column.type) and len(column) and not column.null_count:
        plain = column.cast(pa.int32()).to_numpy()
        if plain.min() >= _FIRST and plain.max() <= _LAST:
            return plain, np.zeros(len(plain), np.bool_), np.zeros(len(plain), np.bool_)
    zone = getattr(column.type, "tz", None)
    if zone is not None and wanted_zone is not None:
        zone, column = wanted_zone, column.cast(pa.timestamp(column.type.unit, wanted_zone))
    if zone is not None:
        column = pc.local_timestamp(column)
    missing = _nulls(column)
    numbers = pc.cast(column, pa.date32(), safe=False).cast(pa.int32())
    days = (numbers.fill_null(BAD) if numbers.null_count else numbers).to_numpy(zero_copy_only=False)
    timed = np.zeros(len(days), np.bool_)
    if pa.types.is_timestamp(column.type):
        floor = pc.floor_temporal(column, unit="day")
        timed = pc.not_equal(column, floor).fill_null(False).to_numpy(zero_copy_only=False)  # noqa: FBT003 (of Arrow)
    bad = missing | (days < _FIRST) | (days > _LAST)
    if zone in ("UTC", "+00:00") and wanted_zone is None:
        bad |= timed
    return days.astype(np.int32), timed & ~bad, bad


@dataclass(slots=True)
class Tickers:
    """The codes of the tickers of one file, batch by batch. codes_of: of their texts."""

    fixed: str | None
    codes_of: Callable[[list[str]], list[int]]
    _texts: pa.Array | None = None
    _codes: Int32 = field(default_factory=lambda: np.empty(0, np.int32))

    def of(self, column: pa.Array | None, rows: int) -> tuple[Int32, Bool]:
        """Of one batch; which rows have none."""
        if column is None:
            return np.full(rows, self.codes_of([self.fixed or ""])[0], np.int32), np.zeros(rows, bool)
        texts, place = _encoded(column)
        if self._texts is None or not texts.equals(self._texts):  # most batches have those of the one before
            plain = [text if isinstance(text, str) else _stripped(text) for text in texts.to_pylist()]
            self._texts, self._codes = texts, np.array([*self.codes_of(plain), BAD], np.int32)
        codes = self._codes.take(place)
        return codes, codes == BAD


def prices(column: pa.Array, rules: Rules) -> tuple[Float64, Bool, Bool]:
    """Float64; which rows have no price; which have one that is none."""
    missing = _nulls(column)
    if _is_text(column.type):
        values, place = _by_value(column, rules.price, None)
        found = np.array([math.nan if value is None else value for value in values])[place]
        missing |= np.array([*(not _stripped(text) for text in _texts(column)[0]), True])[place]
        return found, missing, np.isnan(found)
    found = _floats(column)
    if rules.price_factor != 1.0:
        found = found * rules.price_factor if (rules.shift or 0) >= 0 else found / 10.0 ** -(rules.shift or 0)
    if len(found) and found.min() >= MIN_PRICE and found.max() <= MAX_PRICE:  # no comparison holds for NaN
        return found, missing, np.zeros(len(found), np.bool_)
    with np.errstate(invalid="ignore"):
        bad = ~((found >= MIN_PRICE) & (found <= MAX_PRICE))
    return found, missing, bad


def volumes(column: pa.Array | None, rows: int, rules: Rules) -> Int64:
    """Int64, `UNKNOWN_VOLUME` for none, `UNREADABLE` for what is no whole number."""
    if column is None:
        return np.full(rows, UNKNOWN_VOLUME, np.int64)
    if _is_text(column.type) or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        values, place = _by_value(column, rules.volume, UNKNOWN_VOLUME)
        found: Int64 = np.array(values, np.int64)[place]
        return found
    limit = MAX_VOLUME // rules.volume_factor
    if column.type == pa.int64() and not column.null_count and rules.volume_factor == 1:
        plain: Int64 = column.to_numpy()
        if not len(plain) or plain.min() >= 0:
            return plain
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        filled = column.fill_null(0).to_numpy(zero_copy_only=False)
        good = (filled >= 0) & (filled <= limit)
    else:
        filled = column.cast(pa.float64()).fill_null(math.nan).to_numpy(zero_copy_only=False)
        missing |= np.isnan(filled)
        good = (filled >= 0) & (filled <= min(limit, 2**62)) & (filled == np.floor(filled))
    whole = np.where(good, filled, 0).astype(np.int64) * rules.volume_factor
    return np.where(missing, UNKNOWN_VOLUME, np.where(good, whole, UNREADABLE))


def wanted(batch: pa.RecordBatch, layout: Layout) -> Bool | None:
    """The rows that `where` wants; None if it wants all."""
    chosen: Bool | None = None
    for place, allowed in layout.where:
        values, at = _by_value(batch.column(layout.names[place]), allowed.__contains__, "" in allowed)
        found = np.array(values, np.bool_)[at]
        chosen = found if chosen is None else chosen & found
    return chosen


def _floats(column: pa.Array) -> Float64:
    """By the shortest text of a float32 and of a decimal: 172.54 as float32 is 172.54, not 172.5399932."""
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    column = column.cast(pa.float64())
    found: Float64 = (column.fill_null(math.nan) if column.null_count else column).to_numpy(zero_copy_only=False)
    return found


def _nulls(column: pa.Array) -> Bool:
    if not column.null_count:
        return np.zeros(len(column), np.bool_)
    found: Bool = column.is_null().to_numpy(zero_copy_only=False)
    return found


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_binary(inner))


def _by_value(column: pa.Array, value_of: Callable[[str], Value], none: Value) -> tuple[list[Value], Int32]:
    """`value_of` each distinct text, and `none`; the place of each row's value among them."""
    texts, place = _texts(column)
    return [*(value_of(_stripped(text)) if _stripped(text) else none for text in texts), none], place


def _texts(column: pa.Array) -> tuple[list[object], Int32]:
    texts, place = _encoded(column)
    return texts.to_pylist(), place


def _encoded(column: pa.Array) -> tuple[pa.Array, Int32]:
    """The distinct values, and the place of each row's among them; -1 for none."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    indices = encoded.indices.fill_null(-1) if encoded.null_count else encoded.indices
    return encoded.dictionary, indices.to_numpy(zero_copy_only=False)


def _stripped(value: object) -> str:
    """A value as a CSV would have it."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip(BLANKS)
