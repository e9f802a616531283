"""Columns of whole numbers and of prices as few bytes, before a frame's zstd (`chunks`).

A column becomes two: what is said about it, and its bytes laid out by significance, without those that are the same in
all numbers. Prices are whole numbers of hundredths and the like, if every one of a column is exactly that. Measured
with days of the public five-year set and of 5,000 random tickers: 5.1 to 5.4 bytes a cell instead of 7.5, in less time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from streaming.packets import Float64, Int8, Int32, Int64

    Whole = Int64 | Int32 | Int8
    Packed = tuple[Int64, Int8]
    """What is said about a column: int64 [some]; its bytes: uint8 [some]."""

DTYPES = ("<i8", "u1")
"""Of a packed column."""

_DECIMALS = (2, 4, 6)
_AS_THEY_ARE = -1
_EXACT = 2.0**53  # float64 has every whole number below


def packed(numbers: Whole) -> Packed:
    """The numbers, int64 [n] or smaller, as what they are above their least one.

    >>> packed(np.array([7, 7, 300]))
    (array([7, 3, 2]), array([ 0,  0, 37,  0,  0,  1], dtype=uint8))
    >>> packed(np.array([5, 5, 5]))
    (array([5, 3, 0]), array([], dtype=uint8))
    """
    wide = numbers.astype(np.int64)
    least = wide.min() if len(wide) else np.int64(0)
    above = (wide - least).astype("<u8")  # modulo 2**64, so no difference is too large
    width = (int(above.max(initial=0)).bit_length() + 7) // 8
    planes = above.view(np.uint8).reshape(-1, 8)[:, :width].T
    return np.array([least, len(wide), width], np.int64), planes.reshape(-1)


def unpacked(about: Int64, planes: Int8) -> Int64:
    """The inverse of `packed`.

    >>> unpacked(*packed(np.array([7, -7, 300]))).tolist()
    [7, -7, 300]
    """
    least, count, width = about.tolist()
    above = np.zeros((count, 8), np.uint8)
    above[:, :width] = planes.reshape(width, count).T
    return above.view("<u8").reshape(-1).astype(np.int64) + np.int64(least)


def packed_steps(numbers: Whole) -> Packed:
    """The numbers by the steps from each to the next one.

    >>> packed_steps(np.array([3, 4, 5, 6]))
    (array([3, 1, 3, 0]), array([], dtype=uint8))
    """
    wide = numbers.astype(np.int64)
    about, planes = packed(wide[1:] - wide[:-1])
    return np.concatenate([wide[:1], about]), planes


def unpacked_steps(about: Int64, planes: Int8) -> Int64:
    """The inverse of `packed_steps`."""
    first, steps = about[:-3], unpacked(about[-3:], planes)
    return np.cumsum(np.concatenate([first, steps]))


def packed_prices(prices: Float64, begins: npt.NDArray[np.bool_]) -> Packed:
    """The prices, by the steps within each ticker. begins: bool [n], whether a price is the first one of its ticker."""
    found = _decimal(prices)
    if found is None:
        return np.array([_AS_THEY_ARE]), prices.astype("<f8").view(np.uint8)
    decimals, whole = found
    about, planes = packed(np.where(begins, whole, np.diff(whole, prepend=0)))
    return np.append(about, decimals), planes


def unpacked_prices(about: Int64, planes: Int8, begins: npt.NDArray[np.bool_]) -> Float64:
    """The inverse of `packed_prices`; begins: the same."""
    decimals = int(about[-1])
    if decimals == _AS_THEY_ARE:
        return planes.view("<f8").astype(np.float64)
    steps = unpacked(about[:-1], planes)
    sums, starts = np.cumsum(steps), np.flatnonzero(begins)
    before = np.repeat(sums[starts] - steps[starts], np.diff(np.append(starts, len(steps))))
    prices: Float64 = (sums - before) / 10.0**decimals
    return prices


def _decimal(prices: Float64) -> tuple[int, Int64] | None:
    """How many decimals all of these prices have, and the prices without the point; None: one has too many."""
    for decimals in _DECIMALS:
        power = 10.0**decimals
        if not np.abs(prices).max(initial=0.0) < _EXACT / power:  # NaN is not, either
            return None
        numbers = np.rint(prices * power).astype(np.int64)
        if np.array_equal((numbers / power).view(np.int64), prices.view(np.int64)):
            return decimals, numbers
    return None
