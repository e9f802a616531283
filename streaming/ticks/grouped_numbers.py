"""Columns of numbers whose digits are grouped by thousands → their values, by arithmetic on all letters at once.

Only if nothing else is in the column: to make each number plain first, and then to parse it, takes twice as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.packets import UNKNOWN_VOLUME
from streaming.ticks.plain_columns import PIECE, letters_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from streaming.packets import Int8, Int32, Int64
    from streaming.ticks.numbers import Numbers

    Bool = npt.NDArray[np.bool_]
    Int16 = npt.NDArray[np.uint16]

_DIGITS = 15  # of a number: a float64 holds each whole number of so many, and divides it by a power of ten correctly
_MODULUS = np.array([1, 10, 100, 1000], np.uint16)
_THOUSANDS = 1000 ** np.arange(_DIGITS // 3, dtype=np.int64)


def grouped_numbers(column: pa.Array, numbers: Numbers) -> list[tuple[Int64, int]] | None:
    """Of some rows after the other: the numbers without their decimal sign, and how many digits were behind it.

    `UNKNOWN_VOLUME` for an empty field. None if a field is written otherwise: with another letter, with no separator
    where one belongs, or with other than the number of decimals that the fields around it have.
    """
    mark = numbers.thousands
    if not mark or not mark.isascii() or numbers.signs or not len(column):
        return None
    codes, bounds = letters_of(column)
    found = []
    for first in range(0, len(column), PIECE):
        own = bounds[first : first + PIECE + 1]
        piece = _values(codes[own[0] : own[-1]], own - own[0], mark, numbers.decimal)
        if piece is None:
            return None
        found.append(piece)
    return found


def _values(codes: Int8, bounds: Int32, mark: str, decimal: str) -> tuple[Int64, int] | None:
    if not len(codes):
        return np.full(len(bounds) - 1, UNKNOWN_VOLUME, np.int64), 0
    digits = codes - ord("0")
    marks, decimals = codes == ord(mark), codes == ord(decimal)
    known = np.count_nonzero(digits <= 9) + np.count_nonzero(marks) + np.count_nonzero(decimals)
    found = _ends_of_wholes(decimals, bounds) if known == len(codes) else None
    if found is None:
        return None
    ends, behind = found
    lengths = ends - bounds[:-1]
    if 3 * (int(lengths.max()) // 4) + 3 + behind > _DIGITS + 1:
        return None
    values = _wholes(digits, marks, ends, lengths)
    if values is None:
        return None
    for nth in range(1, behind):
        values *= 10
        values += digits.take(ends + nth)
    if not behind:
        values[lengths == 0] = UNKNOWN_VOLUME
    return values, max(behind - 1, 0)


def _ends_of_wholes(decimals: Bool, bounds: Int32) -> tuple[Int32, int] | None:
    """Where the decimal sign of each field is, or its end; how many letters the sign and what follows it are."""
    begins, ends = bounds[:-1], bounds[1:]
    points = np.count_nonzero(decimals)
    if not points:
        return ends, 0
    behind = int(ends[0]) - int(decimals.argmax())
    ends = ends - behind
    if behind < 1 or points != len(ends) or (ends < begins).any() or not decimals.take(ends).all():
        return None
    without_a_digit = behind == 1 and bool((ends == begins).any())
    return None if without_a_digit else (ends, behind)


def _wholes(digits: Int8, marks: Bool, ends: Int32, lengths: Int32) -> Int64 | None:
    """The numbers before their decimal signs. ends, lengths: where they end, and of how many letters they are.

    None if a separator is not where the length says: every fourth letter before the end, and not the first letter.
    """
    counts, lead = lengths >> 2, lengths & 3  # separators, and digits before the first one
    if ((lead == 0) & (counts > 0)).any():
        return None
    triples = _triples(digits)
    first = triples.take(ends - lengths + lead - 1, mode="clip") % _MODULUS.take(lead)
    values: Int64 = first * _THOUSANDS.take(counts)
    placed, at = 0, ends - 1
    for nth in range(int(counts.max())):
        has = counts > nth
        values += triples.take(at, mode="clip") * has * _THOUSANDS[nth]
        placed += int(np.count_nonzero(marks.take(at - 3, mode="clip") & has))
        at = at - 4
    return values if placed == np.count_nonzero(marks) == int(counts.sum()) else None


def _triples(digits: Int8) -> Int16:
    """The number that each digit makes with the two before it. What is no digit only adds to the places before it."""
    wide = np.zeros(len(digits) + 2, np.uint16)
    wide[2:] = digits
    found = wide[:-2] * np.uint16(10)
    found += wide[1:-1]
    found *= np.uint16(10)
    found += wide[2:]
    return found
