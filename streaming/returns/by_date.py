"""What each drop did on each date: how many cells were new, and how many it gave another price or volume.

It is the account of the batch (`account`), summed up by date: its new cells are `cells_new`, its restated ones
`cells_changed` of the drop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.distinct import distinct
from streaming.packets import Dated
from streaming.returns.chunks import key_date

if TYPE_CHECKING:
    from streaming.packets import Int32, Int64
    from streaming.returns.window import Given


def count_by_date(given: Given, new: Int64, restated: tuple[Int64, Int64, Int64]) -> Dated:
    """A row for each date of which a drop of the batch gave a cell.

    given: the ticks of the batch; new: the places of those that brought their cell; restated: the seq and the key of
    cells that drops gave and that were there before, and what is to be added to the count for each. That is -1 if a
    drop takes back what an earlier part of it was counted for.
    """
    seq, key, more = restated
    brought = np.zeros(len(given.key), np.int64)
    brought[new] = 1
    return _summed(
        np.concatenate([given.seq, seq]),
        key_date(np.concatenate([given.key, key])).astype(np.int64),
        np.concatenate([brought, np.zeros(len(seq), np.int64)]),
        np.concatenate([np.zeros(len(given.key), np.int64), more]),
    )


def sum_of(parts: list[Dated]) -> Dated:
    """The counts of different tickers, added up."""
    seq, date, new, restated = (np.concatenate([getattr(part, name) for part in parts]) for name in Dated.__slots__)
    return _summed(seq, date.astype(np.int64), new.astype(np.int64), restated.astype(np.int64))


def _summed(seq: Int64, date: Int64, *counts: Int64) -> Dated:
    """Sums by (seq, date), in that order."""
    drops, drop = distinct(seq)
    least = int(date.min())
    span = int(date.max()) - least + 1
    if span * len(drops) <= 4 * len(seq) + (1 << 20):
        place, size = drop * span + (date - least), span * len(drops)
        used = np.flatnonzero(np.bincount(place, minlength=size))
        sums = [np.bincount(place, weights=some, minlength=size)[used] for some in counts]
        of_drop, of_date = used // span, used % span + least
    else:
        pair, place = distinct((drop << 32) + (date - least))
        sums = [np.bincount(place, weights=some, minlength=len(pair)) for some in counts]
        of_drop, of_date = pair >> 32, (pair & 0xFFFFFFFF) + least
    of_kind: list[Int32] = [some.astype(np.int32) for some in sums]
    return Dated(drops[of_drop], of_date.astype(np.int32), *of_kind)
