"""Distinct values and the order of whole numbers (tickers, dates, drops). If they lie close together, by counting."""

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
    least = int(numbers.min())
    if int(numbers.max()) - least >= 4 * len(numbers) + (1 << 16):
        found, where = np.unique(numbers, return_inverse=True)
        return found, where
    values = values_of(numbers)
    place = np.zeros(int(values[-1]) - least + 1, np.int64)
    place[values.astype(np.int64) - least] = np.arange(len(values))
    return values, place[numbers.astype(np.int64) - least]


def values_of(numbers: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The distinct values, ascending."""
    if not len(numbers):
        return numbers
    least = int(numbers.min())
    span = int(numbers.max()) - least + 1
    if span > 4 * len(numbers) + (1 << 16):
        return np.unique(numbers)
    there = np.zeros(span, bool)
    there[numbers - np.asarray(least, numbers.dtype)] = True
    return (np.flatnonzero(there) + least).astype(numbers.dtype)


def order_of(*columns: npt.NDArray[np.signedinteger]) -> Int64:
    """The places in ascending order of the first column, then of the next; those that are alike stay in their order.

    Columns of up to 65,536 neighbouring values are sorted by counting: by ticker and date five times as quick as by one
    number for both.
    """
    order: Int64 | None = None
    for column in reversed(columns):
        numbers = column if order is None else column[order]
        least = numbers.min(initial=np.iinfo(numbers.dtype).max)
        if len(numbers) and int(numbers.max()) - int(least) < 1 << 16:
            numbers = (numbers - least).astype(np.uint16)
        found = np.argsort(numbers, kind="stable")
        order = found if order is None else order[found]
    return np.empty(0, np.int64) if order is None else order
