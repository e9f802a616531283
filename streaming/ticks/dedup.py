"""The last row of each (date, id) of a drop."""

from __future__ import annotations

import numpy as np

from streaming.distinct import distinct
from streaming.packets import Int64, Ticks


def last_rows(ticks: Ticks) -> Ticks:
    """One row per (date, id): the last row's price, the last known volume; in the order of the last rows.

    Tickers without a row are dropped from `ids`.
    """
    if not len(ticks):
        return Ticks.empty()
    key, space = _keys(ticks)
    row = np.arange(len(key), dtype=np.int32)
    last = np.full(space, -1, np.int32)
    last[key] = row  # numpy assigns in order: where a key repeats, the last row stays
    kept = last[key] == row
    volume = ticks.volume
    if (volume[kept] < 0).any():
        known = np.flatnonzero(volume >= 0).astype(np.int32)
        last[key[known]] = known
        volume = volume[last[key]]
    code = ticks.code[kept]
    used = np.bincount(code, minlength=len(ticks.ids)) > 0
    ids = [ticks.ids[ticker] for ticker in np.flatnonzero(used).tolist()]
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    return Ticks(ids, renumbered[code], ticks.date[kept], ticks.price[kept], volume[kept])


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
