"""The distinct values of whole numbers (tickers, dates, drops). If they lie close together, by counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from streaming.packets import Int64

    Number = TypeVar("Number", np.int32, np.int64)


def distinct(numbers: npt.NDArray[Number]) -> tuple[npt.NDArray[Number], Int64]:
    """As `np.unique` with `return_inverse`: the values, ascending, and the place of each number among them.

    numpy sorts: 0.14 s for 2 M numbers, ten times what counting takes.
    """
    if not len(numbers):
        return numbers, np.empty(0, np.int64)
    least = numbers.min()
    span = int(numbers.max()) - int(least) + 1
    if span > 4 * len(numbers) + (1 << 16):
        values, place = np.unique(numbers, return_inverse=True)
        return values, place
    offset = numbers.astype(np.int64) - int(least)
    there = np.zeros(span, bool)
    there[offset] = True
    found = np.flatnonzero(there)
    return (found + int(least)).astype(numbers.dtype), (np.cumsum(there) - 1)[offset]
