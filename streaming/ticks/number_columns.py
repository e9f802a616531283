"""Columns of strings → prices and volumes, where they are certain; numbers of any style are made plain first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.packets import UNKNOWN_VOLUME, Float64, Int64
from streaming.ticks.by_value import BAD
from streaming.ticks.fields import MAX_PRICE, MAX_VOLUME, MIN_PRICE, UNREADABLE
from streaming.ticks.grouped_numbers import grouped_numbers
from streaming.ticks.plain_columns import letters_of, plain_column

if TYPE_CHECKING:
    from streaming.ticks.rules import Rules

# At most 18 digits and two of exponent: what these take cannot overflow.
_PRICE = r"^[ \t]*\+?(?P<n>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9][0-9]?)?)[ \t]*$"
_VOLUME = r"^[ \t]*\+?0*(?P<n>[0-9]{1,18})(?:\.0*)?[ \t]*$"
_NOT_WHOLE = r"^[ \t]*\+?[0-9]{1,17}\.[0-9]{0,17}[1-9]0{0,17}[ \t]*$"


def prices(column: pa.Array, rules: Rules) -> Float64:
    """Float64, correctly rounded (Arrow parses by Eisel-Lemire); NaN or out of range where it is not certain."""
    grouped = grouped_numbers(column, rules.numbers) if rules.price_factor == 1.0 else None
    if grouped is not None:
        return np.concatenate([whole / 10.0**digits for whole, digits in grouped])
    plain = plain_column(column, rules.numbers)
    certain = _floats(plain)
    if rules.price_factor == 1.0:
        return certain
    unscaled = (certain >= MIN_PRICE) & (certain <= MAX_PRICE)
    if rules.shift is None:
        return np.where(unscaled, certain * rules.price_factor, np.nan)
    shifted = pc.binary_join_element_wise(plain, f"e{rules.shift}", "")
    return np.where(unscaled, _floats(shifted), np.nan)


def _floats(column: pa.Array) -> Float64:
    try:
        parsed = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        parsed = pc.cast(_captured(column, _PRICE), pa.float64())
    found: Float64 = parsed.fill_null(np.nan).to_numpy(zero_copy_only=False)
    return found


def volumes(column: pa.Array | None, rows: int, rules: Rules) -> Int64:
    """Int64, `UNKNOWN_VOLUME` for none, `UNREADABLE` for what is surely not whole, `BAD` where it is not certain."""
    if column is None:
        return np.full(rows, UNKNOWN_VOLUME, np.int64)
    as_given = not rules.unknown and rules.volume_factor == 1
    grouped = grouped_numbers(column, rules.numbers) if as_given else None
    if grouped is not None and not any(digits for _, digits in grouped):
        return np.concatenate([whole for whole, _ in grouped])
    plain = plain_column(column, rules.numbers)
    if as_given and plain.null_count == column.null_count and _are_digits(plain):
        whole: Int64 = pc.cast(plain, pa.int64()).fill_null(UNKNOWN_VOLUME).to_numpy(zero_copy_only=False)
        return whole
    found = pc.cast(_captured(plain, _VOLUME), pa.int64())
    missing = pc.if_else(column.is_null(), UNKNOWN_VOLUME, BAD)
    certain: Int64 = pc.coalesce(found, missing).to_numpy(zero_copy_only=False)
    if rules.volume_factor != 1:
        above = certain > MAX_VOLUME // rules.volume_factor
        certain = np.where(above, BAD, np.where(certain >= 0, certain * rules.volume_factor, certain))
    elif not rules.before and (certain == BAD).any():
        unreadable = pc.match_substring_regex(plain, _NOT_WHOLE).fill_null(False).to_numpy(zero_copy_only=False)  # noqa: FBT003 (of Arrow)
        certain = np.where(unreadable, UNREADABLE, certain)
    if rules.unknown:
        texts = pa.array(sorted(rules.unknown), pa.string())
        certain = np.where(pc.is_in(column, texts).to_numpy(zero_copy_only=False), UNKNOWN_VOLUME, certain)
    return certain


def _are_digits(column: pa.Array) -> bool:
    """Whether the strings are null or 1 to 18 digits, a tenth of what the pattern costs."""
    if not len(column):
        return True
    letters, bounds = letters_of(column)
    return bool((letters - ord("0") <= 9).all() and np.diff(bounds).max() <= 18)


def _captured(column: pa.Array, pattern: str) -> pa.Array:
    return pc.struct_field(pc.extract_regex(column, pattern), "n")
