"""What each drop of a batch did to the cells that were there before it, in the order of seq.

If one drop alone touches the window, that is the difference between the window before and after. If there are several,
a cell may pass through states that the batch as a whole does not show: each drop then finds the window as the drops
before it have left it. No drop is applied by itself for this. Instead, each cell that a drop gave, and the next one of
its ticker, is looked up as it was just before and just after that drop. A moment of the batch is the number of its
drops that were applied: 0 is before the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from streaming.corrections import Values
from streaming.distinct import distinct
from streaming.packets import UNKNOWN_VOLUME
from streaming.returns.chunks import key_code

if TYPE_CHECKING:
    from streaming.packets import Float64, Int64
    from streaming.returns.chunks import Cells
    from streaming.returns.window import Bool, Given


@dataclass(frozen=True, slots=True)
class Transitions:
    """Cells that a drop gave, or whose return it may have rewritten, and that were there before it.

    seq, place: int64 [n], the place in the window; (seq, place) are distinct; given: bool [n], whether the drop gave
    the cell; before, after: what it held just before and just after the drop.
    """

    seq: Int64
    place: Int64
    given: Bool
    before: Values
    after: Values

    def take(self, places: Int64 | Bool | slice) -> Transitions:
        """Those at these places."""
        return Transitions(
            self.seq[places],
            self.place[places],
            self.given[places],
            self.before.take(places),
            self.after.take(places),
        )


def of_one_drop(seq: int, old: Values, now: Values, at: Int64) -> Transitions:
    """The transitions of a drop that alone has led from one state of the window to the other. at: cells it gave."""
    existed = ~np.isnan(old.price)
    given = np.zeros(len(existed), bool)
    given[at] = True
    met = np.flatnonzero(existed & (given | old.return_differs(now)))
    return Transitions(np.full(len(met), seq), met, given[met], old.take(met), now.take(met))


def of_drops(old: Cells, given: Given, at: Int64) -> Transitions:
    """The transitions of all drops of a batch. old: the window before it, with room; at: the place of each cell."""
    moments = _Moments(old, given, at)
    place, moment, gave = moments.met()
    before, after = moments.values(place, moment - 1), moments.values(place, moment)
    return Transitions(moments.drops[moment - 1], place, gave, before, after)


class _Moments:
    """A window as it was at each moment of a batch.

    drops: int64 [drops], the seq that led to each moment from 1 on. Ticks are in the order of place, then moment.
    """

    def __init__(self, old: Cells, given: Given, at: Int64) -> None:
        self.drops, rank = distinct(given.seq)
        self._old = old
        self._place, self._moment = at[given.cell], rank + 1
        self._count = len(self.drops) + 1
        self._begin = np.full(len(old.key), -1)  # the first tick of each cell
        self._begin[at] = given.starts
        self._several = np.zeros(len(old.key), bool)  # whether a cell has more than one
        self._several[at] = np.diff(given.starts, append=len(rank)) > 1
        self._ticks = self._place * self._count + self._moment
        self._price, self._volume = given.price, _known_so_far(given, old.volume[self._place])
        self._first = np.zeros(len(rank), bool)
        self._first[given.starts] = True
        absent = np.isnan(old.price)
        self._born = np.zeros(len(absent), np.int64)  # the moment since which each cell is there
        self._born[at] = np.where(absent[at], self._moment[given.starts], 0)
        self._ticker = key_code(old.key).astype(np.int64) * self._count
        self._behind = _Nearest(self._born - self._ticker)
        self._ahead = _Nearest((self._born + self._ticker)[::-1])

    def met(self) -> tuple[Int64, Int64, Bool]:
        """Cells that were there before a drop that gave them or the cell before them: place, moment, whether given."""
        existed = self._born[self._place] < self._moment
        before = self._old.price[self._place]
        again = np.flatnonzero(~self._first)
        before[again] = self._price[again - 1]
        moved = np.flatnonzero(before.view(np.int64) != self._price.view(np.int64))
        following, cause = self._following(self._place[moved], self._moment[moved])
        moment = self._moment[moved[cause]]
        last = self._last(following, moment)
        alone = (last < 0) | (self._moment[last] != moment)
        given = np.flatnonzero(existed)
        return (
            np.concatenate([self._place[given], following[alone]]),
            np.concatenate([self._moment[given], moment[alone]]),
            np.concatenate([np.ones(len(given), bool), np.zeros(np.count_nonzero(alone), bool)]),
        )

    def values(self, place: Int64, moment: Int64) -> Values:
        """What cells held at moments at which they were there."""
        price, volume = self._given(place, moment)
        returns = np.full(len(place), np.nan)
        earlier = self._previous(place, moment)
        some = np.flatnonzero(earlier >= 0)
        returns[some] = price[some] / self._given(earlier[some], moment[some])[0] - 1
        return Values(price, volume, returns)

    def _given(self, place: Int64, moment: Int64) -> tuple[Float64, Int64]:
        """Price and volume: those of the last tick up to the moment, or those from before the batch."""
        last = self._last(place, moment)
        price, volume = self._price[last], self._volume[last]
        before = np.flatnonzero(last < 0)
        price[before], volume[before] = self._old.price[place[before]], self._old.volume[place[before]]
        return price, volume

    def _last(self, place: Int64, moment: Int64) -> Int64:
        """The last tick up to the moment; -1: there was none."""
        last = self._begin[place]
        last[self._moment[last] > moment] = -1
        again = np.flatnonzero(self._several[place] & (last >= 0))
        ticks = place[again] * self._count + moment[again]
        last[again] = np.searchsorted(self._ticks, ticks, side="right") - 1
        return last

    def _following(self, place: Int64, moment: Int64) -> tuple[Int64, Int64]:
        """The next cell of the ticker that was there at the moment; of which of the places, since not each has one."""
        since = self._born + self._ticker  # such that the least of all later ones is that of the same ticker
        least = np.append(np.minimum.accumulate(since[::-1])[::-1], np.iinfo(np.int64).max)
        some = np.flatnonzero(least[place + 1] <= moment + self._ticker[place])
        place, moment = place[some], moment[some]
        return self._behind.at_most(place, moment - self._ticker[place]), some

    def _previous(self, place: Int64, moment: Int64) -> Int64:
        """The cell before it of the ticker that was there at the moment; -1: there was none."""
        end = len(self._born) - 1
        found = end - self._ahead.at_most(end - place, moment + self._ticker[place])
        return np.where((found >= 0) & (self._ticker[found] == self._ticker[place]), found, -1)


def _known_so_far(given: Given, before: Int64) -> Int64:
    """The volume of each tick's cell after the tick: an unknown one leaves what was there."""
    known = np.where(given.volume == UNKNOWN_VOLUME, -1, np.arange(len(given.volume)))
    last = np.maximum.accumulate(known)
    return np.where(last >= given.starts[given.cell], given.volume[last], before)


class _Nearest:
    """The nearest places behind given ones with small values."""

    def __init__(self, value: Int64) -> None:
        self._bounded = np.append(value, np.iinfo(np.int64).min)

    @cached_property
    def _smaller(self) -> Int64:
        return _next_smaller(self._bounded)

    def at_most(self, place: Int64, limit: Int64) -> Int64:
        """The nearest place behind each given one whose value is at most the limit; if there is none, len(value).

        >>> _Nearest(np.array([3, 9, 8, 2])).at_most(np.array([0, 0, 3]), np.array([8, 5, 9]))
        array([2, 3, 4])
        """
        found = place + 1
        high = np.flatnonzero(self._bounded[found] > limit)
        while len(high):
            found[high] = self._smaller[found[high]]
            high = high[self._bounded[found[high]] > limit[high]]
        return found


def _next_smaller(value: Int64) -> Int64:
    """For each place the nearest one behind it with a smaller value; the last value is the least of all.

    Everything between a place and what it points to is at least as large. So it may go on with the pointer of the
    place that it points to, and comes twice as far each time.

    >>> _next_smaller(np.array([3, 9, 8, 2]))[:3]
    array([3, 2, 3])
    """
    pointer = np.minimum(np.arange(1, len(value) + 1), len(value) - 1)
    todo = np.flatnonzero(value[pointer[:-1]] >= value[:-1])
    while len(todo):
        pointer[todo] = pointer[pointer[todo]]
        todo = todo[value[pointer[todo]] >= value[todo]]
    return pointer
