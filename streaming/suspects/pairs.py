"""Tickers that have each other's price on one date: two suspect cells, each at the level from which the other came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from streaming.packets import Float64, Int32, Int64

_NEAR = np.log(1.06)
_FAR = np.log(1.2)


def swapped(date: Int32, price: Float64, level: Float64) -> Int64:
    """For each cell the place of the one that has its price, -1 if there is none.

    date: int32 [n]; price: float64 [n]; level: float64 [n], the price of the neighbour that it does not fit. Each cell
    has at most one partner; of several, the earlier places find theirs first.

    >>> swapped(np.array([1, 1, 1], np.int32), np.array([50.0, 9.0, 10.1]), np.array([10.0, 1.0, 49.5])).tolist()
    [2, -1, 0]
    """
    partner = np.full(len(date), -1, np.int64)
    now, before = np.log(price), np.log(level)
    order = np.lexsort((before, date))
    begins = np.flatnonzero(np.diff(date[order], prepend=np.iinfo(np.int32).min))
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(order)], strict=False):
        _pair(np.asarray(order[begin:end]), now, before, partner)
    return partner


def _pair(cells: Int64, now: Float64, before: Float64, partner: Int64) -> None:
    """Of one date, in the order of `before`: the candidates of a cell are those that came from where it is now."""
    if len(cells) < 2:
        return
    origins = before[cells]
    for cell in np.sort(cells).tolist():
        if partner[cell] >= 0 or abs(now[cell] - before[cell]) < _FAR:
            continue
        low, high = np.searchsorted(origins, (now[cell] - _NEAR, now[cell] + _NEAR))
        near = cells[low:high]
        fits = near[(np.abs(now[near] - before[cell]) <= _NEAR) & (partner[near] < 0) & (near != cell)]
        if len(fits):
            other = int(fits[np.argmin(np.abs(now[fits] - before[cell]) + np.abs(before[fits] - now[cell]))])
            partner[cell], partner[other] = other, cell
