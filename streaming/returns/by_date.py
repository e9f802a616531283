"""What each drop did on each date: how many cells were new, and how many it gave another price or volume.

It is counted drop by drop, in the order of seq, also if one batch holds several drops with a cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.packets import UNKNOWN_VOLUME, Dated
from streaming.returns.chunks import MARK_PRICE, key_date

if TYPE_CHECKING:
    from streaming.packets import Float64, Int64
    from streaming.returns.chunks import Cells
    from streaming.returns.window import Given


def count_by_date(given: Given, old: Cells, resumed: int) -> Dated:
    """given: the ticks of the batch; old: for each distinct key its cell before the batch.

    resumed: the drop that an earlier batch may have begun. What that one gave of it is not counted again.
    """
    first = np.zeros(len(given.key), bool)
    first[given.starts] = True
    price, volume = _before(given, old, first)
    again = (given.seq == resumed) & ((old.mark & MARK_PRICE) > 0)[given.cell]
    new = np.isnan(price) & ~again
    other_volume = (given.volume != UNKNOWN_VOLUME) & (given.volume != volume)
    restated = ~np.isnan(price) & ~again & ((given.price.view(np.int64) != price.view(np.int64)) | other_volume)
    return _grouped(given.seq, key_date(given.key).astype(np.int64), new, restated)


def _before(given: Given, old: Cells, first: np.ndarray) -> tuple[Float64, Int64]:
    """The price and the volume of each tick's cell before its drop; NaN if there was none."""
    price = np.where(first, old.price[given.cell], np.roll(given.price, 1))
    known = np.where(given.volume != UNKNOWN_VOLUME, np.arange(len(given.key)), -1)
    last = np.roll(np.maximum.accumulate(known), 1)  # of the ticks before, the last one with a known volume
    last[:1] = -1
    in_batch = last >= given.starts[given.cell]
    return price, np.where(in_batch, given.volume[last], old.volume[given.cell])


def _grouped(seq: Int64, date: Int64, new: np.ndarray, restated: np.ndarray) -> Dated:
    """Sums by (seq, date), in that order."""
    drops, drop = np.unique(seq, return_inverse=True)
    least = int(date.min())
    span = int(date.max()) - least + 1
    if span * len(drops) <= 4 * len(seq) + (1 << 20):
        place, size = drop * span + (date - least), span * len(drops)
        used = np.flatnonzero(np.bincount(place, minlength=size))
        sums = [np.bincount(place, weights=some, minlength=size)[used] for some in (new, restated)]
        of_drop, of_date = used // span, used % span + least
    else:
        key, place = np.unique((drop << 32) + (date - least), return_inverse=True)
        sums = [np.bincount(place, weights=some, minlength=len(key)) for some in (new, restated)]
        of_drop, of_date = key >> 32, (key & 0xFFFFFFFF) + least
    counts = (some.astype(np.int32) for some in sums)
    return Dated(drops[of_drop], of_date.astype(np.int32), *counts)
