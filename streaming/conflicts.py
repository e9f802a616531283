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
    if not len(group):
        return np.empty(0, np.bool_)
    follows = group[1:] == group[:-1]
    known = volume != UNKNOWN_VOLUME
    if known.all():
        other_volume = volume[1:] != volume[:-1]
    else:
        place = np.arange(len(group))
        begin = np.maximum.accumulate(np.where(np.append(False, follows), 0, place))[1:]
        before = np.maximum.accumulate(np.where(known, place, -1))[:-1]
        other_volume = (before >= begin) & known[1:] & (volume[1:] != volume[before])
    found: Bool = np.append(False, follows & (other_volume | (price[1:] != price[:-1])))
    return found
