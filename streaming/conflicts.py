"""Whether rows of one drop with one (date, id) say the same: one rule for the parser and for the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.packets import UNKNOWN_VOLUME, Float64, Int64

if TYPE_CHECKING:
    import numpy.typing as npt

    Bool = npt.NDArray[np.bool_]


def differs(price: Float64, volume: Int64, group: Int64) -> Bool:
    """Whether each row differs from what the rows before it in its group say; False for the first of a group.

    The rows lie group by group, in their order. What they say: the price of the row before, the last known volume.

    >>> differs(np.array([1.0, 1.0, 2.0]), np.array([5, UNKNOWN_VOLUME, 5]), np.array([7, 7, 7])).tolist()
    [False, False, True]
    """
    follows = np.diff(group, prepend=group[:1] - 1) == 0
    place = np.arange(len(group))
    begin = np.maximum.accumulate(np.where(follows, 0, place))
    known = np.maximum.accumulate(np.where(volume != UNKNOWN_VOLUME, place, -1))
    before = np.concatenate([np.full(min(1, len(known)), -1), known[:-1]])
    other_volume = (before >= begin) & (volume != UNKNOWN_VOLUME) & (volume != volume[before])
    other_price = np.concatenate([np.zeros(min(1, len(price)), bool), price[1:] != price[:-1]])
    found: Bool = follows & (other_price | other_volume)
    return found
