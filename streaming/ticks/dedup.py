"""Which row of each (date, id) of a drop counts, which ones it replaces, and whether they say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streaming.conflicts import differs
from streaming.distinct import distinct, order_of
from streaming.packets import Ticks

if TYPE_CHECKING:
    import numpy.typing as npt

    from streaming.packets import Int32, Int64

    Bool = npt.NDArray[np.bool_]


_PIECE = 1 << 16  # rows that are looked at before it is known whether more have to be


@dataclass(frozen=True, slots=True)
class Deduped:
    """ticks: one row per (date, id): the last row's price, the last known volume; in the order of the last rows.

    replaced, by: int64 [n], the places of the other rows, and of the next row of the same (date, id); conflict: bool
    [n], whether the two differ: in their price, or in their volume where both are known (of the earlier ones: the last
    that was).
    """

    ticks: Ticks
    replaced: Int64
    by: Int64
    conflict: Bool


def last_rows(ticks: Ticks, *, first: bool = False) -> Deduped:
    """One row per (date, id), of the tickers that have one. first: the first row counts, not the last."""
    if not len(ticks):
        return Deduped(Ticks.empty(), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_))
    if first:
        found, end = last_rows(_reversed(ticks)), len(ticks) - 1
        return Deduped(_reversed(found.ticks), end - found.replaced, end - found.by, found.conflict)
    if _grow(ticks.date, ticks.code) or _grow(ticks.code, ticks.date):  # sorted, as most files are
        return Deduped(_taken(ticks, slice(None), ticks.volume), *_none())
    key, space = _keys(ticks)
    row = np.arange(len(key), dtype=np.int32)
    last = np.full(space, -1, np.int32)
    last[key] = row  # numpy assigns in order: where a key repeats, the last row stays
    kept = last[key] == row
    if kept.all():
        return Deduped(_taken(ticks, slice(None), ticks.volume), *_none())
    volume = ticks.volume
    if (volume[kept] < 0).any():
        known = np.flatnonzero(volume >= 0).astype(np.int32)
        last[key[known]] = known
        volume = volume[last[key]]
    several = np.zeros(space, np.bool_)
    several[key[~kept]] = True
    return Deduped(_taken(ticks, kept, volume), *_replaced(ticks, np.flatnonzero(several[key]), kept))


def _grow(first: Int32, second: Int32) -> bool:
    """Whether each pair is greater than the one before, by the first number, then by the second."""
    pieces = (slice(begin, begin + _PIECE + 1) for begin in range(0, len(first), _PIECE))
    return all(_grow_in_piece(first[piece], second[piece]) for piece in pieces)


def _grow_in_piece(first: Int32, second: Int32) -> bool:
    same = first[1:] == first[:-1]
    return bool(((first[1:] > first[:-1]) | (same & (second[1:] > second[:-1]))).all())


def _none() -> tuple[Int64, Int64, Bool]:
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_)


def _replaced(ticks: Ticks, several: Int64, kept: Bool) -> tuple[Int64, Int64, Bool]:
    """several: the rows whose (date, id) is there more than once; kept: bool [rows], the last ones."""
    order = several[order_of(ticks.code[several], ticks.date[several])]
    last = kept[order]  # of its (date, id)
    conflict = differs(ticks.price[order], ticks.volume[order], np.cumsum(last) - last)
    replaced = np.flatnonzero(~kept)
    follows = np.flatnonzero(~last)
    by, differ = np.empty(len(kept), np.int64), np.empty(len(kept), np.bool_)
    by[order[follows]] = order[follows + 1]
    differ[order[follows]] = conflict[follows + 1]
    return replaced, by[replaced], differ[replaced]


def _taken(ticks: Ticks, kept: Bool | slice, volume: Int64) -> Ticks:
    code = ticks.code[kept]
    used = np.zeros(len(ticks.ids), np.bool_)
    for begin in range(0, len(code), _PIECE):
        used[code[begin : begin + _PIECE]] = True
        if used.all():  # in most files each ticker comes early
            break
    if used.all():
        return Ticks(ticks.ids, code, ticks.date[kept], ticks.price[kept], volume[kept])
    ids = [ticks.ids[ticker] for ticker in np.flatnonzero(used).tolist()]
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    return Ticks(ids, renumbered[code], ticks.date[kept], ticks.price[kept], volume[kept])


def _reversed(ticks: Ticks) -> Ticks:
    return Ticks(ticks.ids, ticks.code[::-1], ticks.date[::-1], ticks.price[::-1], ticks.volume[::-1])


def _keys(ticks: Ticks) -> tuple[Int64, int]:
    """A number for each (date, id), and how many numbers there can be."""
    first = int(ticks.date.min())
    days = int(ticks.date.max()) - first + 1
    key = ticks.code.astype(np.int64) * days + (ticks.date - first)
    space = len(ticks.ids) * days
    if space <= 16 * len(key) + (1 << 16):
        return key, space
    values, place = distinct(key)
    return place, len(values)
