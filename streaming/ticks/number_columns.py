"""Columns of strings → prices and volumes, where they are certain; numbers of any style are made plain first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.packets import UNKNOWN_VOLUME, Float64, Int32, Int64
from streaming.ticks.by_value import BAD
from streaming.ticks.fields import MAX_PRICE, MAX_VOLUME, MIN_PRICE, UNREADABLE

if TYPE_CHECKING:
    import numpy.typing as npt

    Letters = npt.NDArray[np.uint8]
    Bool = npt.NDArray[np.bool_]
    from streaming.ticks.numbers import Numbers
    from streaming.ticks.rules import Rules

# At most 18 digits and two of exponent: what these take cannot overflow.
_PRICE = r"^[ \t]*\+?(?P<n>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9][0-9]?)?)[ \t]*$"
_VOLUME = r"^[ \t]*\+?0*(?P<n>[0-9]{1,18})(?:\.0*)?[ \t]*$"
_NOT_WHOLE = r"^[ \t]*\+?[0-9]{1,17}\.[0-9]{0,17}[1-9]0{0,17}[ \t]*$"
_MARGIN = 5
_DIGIT, _BEGIN, _MARK, _DECIMAL = 1, 2, 4, 8


def prices(column: pa.Array, rules: Rules) -> Float64:
    """Float64, correctly rounded (Arrow parses by Eisel-Lemire); NaN or out of range where it is not certain."""
    certain = _floats(_plain(column, rules.numbers))
    if rules.price_factor == 1.0:
        return certain
    unscaled = (certain >= MIN_PRICE) & (certain <= MAX_PRICE)
    if rules.shift is None:
        return np.where(unscaled, certain * rules.price_factor, np.nan)
    shifted = pc.binary_join_element_wise(_plain(column, rules.numbers), f"e{rules.shift}", "")
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
    plain = _plain(column, rules.numbers)
    if not rules.unknown and rules.volume_factor == 1 and plain.null_count == column.null_count and _are_digits(plain):
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


def _plain(column: pa.Array, numbers: Numbers) -> pa.Array:
    """The numbers with a point and no thousands; null where this takes a second look, and where there are none."""
    if numbers.is_plain:
        return column
    plain = _by_letters(column, numbers) or _by_pattern(column, numbers)
    lengths = pc.binary_length(plain)
    if pc.min(lengths).as_py() != 0:
        return plain
    return pc.if_else(pc.greater(lengths, 0), plain, pa.scalar(None, pa.string()))


def _by_letters(column: pa.Array, numbers: Numbers) -> pa.Array | None:
    """By the letters of the whole column at once; None if a separator or a sign stands where none belongs.

    A separator between groups has one to three digits before it, back to the field's begin or to another separator,
    and three digits behind it, up to the field's end, to another separator or to the decimal sign. What else may be
    wrong with a number its parser finds: the decimal sign alone is no point yet.
    """
    marks = numbers.separators + "".join(numbers.signs)
    if not marks.isascii() or any(len(sign) > 1 for sign in numbers.signs):
        return None
    _, ends, data = column.buffers()
    bounds = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
    letters = b"" if data is None else bytes(data)[bounds[0] : bounds[-1]]
    bounds = bounds - bounds[0]
    if numbers.decimal == "," and "." not in marks and b"." in letters:
        return None
    removed = []
    for mark in marks:
        at = np.flatnonzero(np.frombuffer(letters, np.uint8) == ord(mark))
        kinds = _kinds(letters, bounds, mark, numbers.decimal)
        good = (kinds[at + _MARGIN] & _BEGIN) > 0 if mark in numbers.signs else _groups(kinds, at + _MARGIN)
        if not good.all():
            return None
        removed.append(at)
    gone = np.sort(np.concatenate(removed)) if removed else np.empty(0, np.int64)
    plain = letters.translate(bytes.maketrans(numbers.decimal.encode(), b"."), marks.encode())
    return _with_data(column, plain, (bounds - np.searchsorted(gone, bounds)).astype(np.int32))


def _kinds(letters: bytes, bounds: Int32, mark: str, decimal: str) -> Letters:
    """What each letter is, as bits, with a margin on both sides. bounds: where fields begin, and the last one ends."""
    table = bytearray(256)
    table[ord("0") : ord("9") + 1] = bytes([_DIGIT]) * 10
    table[ord(mark)], table[ord(decimal)] = _MARK, _DECIMAL
    margin = bytes(_MARGIN)
    kinds = np.frombuffer(bytearray(margin + letters.translate(table) + margin), np.uint8)
    kinds[bounds + _MARGIN] |= _BEGIN
    return kinds


def _groups(kinds: Letters, at: Int64) -> Bool:
    """Whether each separator stands between groups of digits."""
    first, second, third, then = (kinds[at + count] for count in (1, 2, 3, 4))
    behind = ((first & second & third) == _DIGIT) & ((first | second | third) == _DIGIT)
    ends = (then & (_BEGIN | _MARK | _DECIMAL)) > 0
    before = (kinds[at - 4] & _MARK) > 0  # a group of three, or a begin within three digits
    for count in (3, 2, 1):
        kind = kinds[at - count]
        before = (kind == _DIGIT | _BEGIN) | ((kind == _DIGIT) & before)
    found: Bool = behind & ends & before & ((kinds[at] & _BEGIN) == 0)
    return found


def _by_pattern(column: pa.Array, numbers: Numbers) -> pa.Array:
    """The same field by field; null for what the pattern does not take."""
    sign = f"(?:{'|'.join(map(re.escape, numbers.signs))})?[ ]?" if numbers.signs else ""
    bare = re.sub(r"\(\?P<\w+>", "(?:", numbers.pattern)
    bare = bare.replace("[eE][+-]?[0-9]+", "[eE][+-]?[0-9][0-9]?")
    certain = pc.match_substring_regex(column, rf"^[ \t]*{sign}{bare}[ \t]*$")
    plain = column
    for text in (*numbers.signs, *numbers.separators):
        plain = pc.replace_substring(plain, text, "")
    if numbers.decimal != ".":
        plain = pc.replace_substring(plain, numbers.decimal, ".")
    plain = pc.utf8_trim_whitespace(plain)
    return pc.if_else(certain, plain, pa.scalar(None, pa.string()))


def _with_data(column: pa.Array, data: bytes, bounds: Int32) -> pa.Array:
    """The column with other letters."""
    filled = pa.Array.from_buffers(pa.string(), len(column), [None, pa.py_buffer(bounds), pa.py_buffer(data)])
    return filled if not column.null_count else pc.if_else(column.is_valid(), filled, pa.scalar(None, pa.string()))


def _are_digits(column: pa.Array) -> bool:
    """Whether the strings are null or 1 to 18 digits, a tenth of what the pattern costs."""
    if not len(column):
        return True
    _, ends, data = column.buffers()
    bounds = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
    letters = np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]]
    return bool((letters - ord("0") <= 9).all() and np.diff(bounds).max() <= 18)


def _captured(column: pa.Array, pattern: str) -> pa.Array:
    return pc.struct_field(pc.extract_regex(column, pattern), "n")
