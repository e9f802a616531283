"""Prices that do not fit their neighbours: rules over each ticker's own series of prices, numpy only.

Every rule is local: whether a cell is suspect depends on at most `BEFORE` earlier and `AFTER` later prices of its
ticker. So a change of one cell can open or close suspects only from `AFTER` prices before it to `REACH` after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from streaming.packets import Float64, Int8, Int32, Int64

Bool = npt.NDArray[np.bool_]

NONE, JUMP, UNIT_SLIP, SPLIT, SPIKE, STALE = range(6)
KINDS = ("", "jump", "unit-slip", "split?", "spike", "stale")

AFTER = 5  # an excursion of more sessions is a new level
_BACKGROUND = 7  # prices before a move that say which of two levels is the usual one
_UNIT, _SPLIT = 0.01, 0.02  # how near a ratio must be to a power of ten, to that of a split
_STAYS, _BACK = 0.25, 0.2  # shares of the move
_WILD = 6.0  # a smaller move must be so many times what is usual for the ticker
_SPLITS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0)
_RATIOS = np.log(np.array(_SPLITS))


class SuspectLimits(NamedTuple):
    """factor: from which ratio on a move is suspect by itself; spike: as a share; stale: unchanged sessions."""

    factor: float = 5.0
    spike: float = 0.3
    stale: int = 20

    @property
    def before(self) -> int:
        """How many earlier prices of its ticker a verdict may need."""
        return max(self.stale, AFTER + 1 + _BACKGROUND)

    @property
    def reach(self) -> int:
        """How many later prices of its ticker a cell has a say in."""
        return self.before


@dataclass(frozen=True, slots=True)
class Series:
    """Prices in the order of (ticker, date).

    code, date: int32 [n]; price: float64 [n]; volume: int64 [n], negative if unknown; first: bool [n], whether the cell
    is known to be the first one of its ticker.
    """

    code: Int32
    date: Int32
    price: Float64
    volume: Int64
    first: Bool

    def __len__(self) -> int:
        return len(self.code)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Suspect cells by their places in the series, ascending; kind: one of `KINDS`; against: the neighbour's place."""

    at: Int64
    kind: Int8
    against: Int64


def examine(series: Series, limits: SuspectLimits = SuspectLimits()) -> Verdicts:  # noqa: B008 (frozen)
    """What is suspect in whole series; in a part of one, what is true of cells with enough prices around them.

    >>> days = np.arange(5, dtype=np.int32)
    >>> price = np.array([10.0, 10.1, 1010.0, 10.2, 10.1])
    >>> one = Series(np.zeros(5, np.int32), days, price, np.ones(5, np.int64), days == 0)
    >>> [(int(at), KINDS[kind]) for at, kind in zip(examine(one).at, examine(one).kind)]
    [(2, 'unit-slip')]
    """
    kind, against = np.zeros(len(series), np.uint8), np.full(len(series), -1, np.int64)
    if len(series) > 1:
        _judge_stale(series, limits, kind, against)
        moves = _Moves.of(series, limits)
        if len(moves.at):
            _judge_moves(moves, kind, against)
    at = np.flatnonzero(kind)
    return Verdicts(at, kind[at], against[at])


def touched(series: Series, changed: Bool, limits: SuspectLimits) -> Bool:
    """The cells whose verdict may be another one after these cells have changed."""
    at = np.flatnonzero(changed)
    marks = np.zeros(len(series) + 1, np.int64)
    code = series.code[at]
    bounds = np.searchsorted(series.code, np.arange(int(code.max(initial=-1)) + 2))
    begins, ends = bounds[code], bounds[code + 1]
    np.add.at(marks, np.maximum(at - AFTER, begins), 1)
    np.add.at(marks, np.minimum(at + limits.reach + 1, ends), -1)
    return np.cumsum(marks)[:-1] > 0


@dataclass(frozen=True, slots=True)
class _Moves:
    """The steps of a series that are large enough to be looked at, each between the cell before and `at`.

    level: logarithms of all prices; step: of the move; begin, end: of its ticker's cells; usual: whether the cell
    before is nearer to the ticker's usual level than `at` is; calm: the usual size of a step.
    """

    series: Series
    limits: SuspectLimits
    level: Float64
    at: Int64
    step: Float64
    begin: Int64
    end: Int64
    usual: Bool
    calm: Float64

    @classmethod
    def of(cls, series: Series, limits: SuspectLimits) -> _Moves:
        level = np.log(series.price)
        steps = np.diff(level)
        smallest = np.log1p(limits.spike)
        at = np.flatnonzero((np.abs(steps) >= smallest) & (series.code[1:] == series.code[:-1])) + 1
        code = series.code[at]
        begin, end = np.searchsorted(series.code, code, side="left"), np.searchsorted(series.code, code, side="right")
        around = (at - 1)[:, None] + np.arange(-_BACKGROUND, AFTER + 1)
        there = (around >= begin[:, None]) & (around < end[:, None])
        around = np.clip(around, 0, len(level) - 1)
        levels = np.where(there, level[around], np.nan)
        sizes = np.abs(np.diff(levels, axis=1))
        if not len(at):
            nothing = np.empty(0)
            return cls(series, limits, level, at, nothing, begin, end, np.empty(0, bool), nothing)
        middle = np.nanmedian(levels, axis=1)
        usual = np.abs(level[at - 1] - middle) <= np.abs(level[at] - middle)
        return cls(series, limits, level, at, steps[at - 1], begin, end, usual, np.nanmedian(sizes, axis=1))

    def away(self, at: Int64, origin: Int64) -> Float64:
        """How far the prices at these places are from others, as logarithms; the places may be clipped."""
        return np.abs(self.level[np.minimum(at, len(self.level) - 1)] - self.level[origin])

    def widths(self) -> Int64:
        """After how many sessions each move is back at the level before it; 0: not within `AFTER`."""
        big = np.log(self.limits.factor)
        size, origin = np.abs(self.step), self.at - 1
        near = np.where(size >= big, big / 2, _BACK * size)
        width, out = np.zeros(len(self.at), np.int64), self.usual & ((size >= big) | (size >= _WILD * self.calm))
        for sessions in range(1, AFTER + 1):
            place = self.at + sessions
            out = out & (place < self.end)
            far = self.away(place, origin)
            back = out & (far <= near)
            width[back] = sessions
            out = out & ~back & (far >= big) & (size >= big)
        return width

    def stays(self) -> Bool:
        """Whether the prices after a move, at least one, stay at its level, and those before it did at theirs."""
        allowed = _STAYS * np.abs(self.step)
        good = self.at + 1 < self.end
        for sessions in range(1, AFTER + 1):
            later, earlier = self.at + sessions, self.at - 1 - sessions
            good &= (later >= self.end) | (self.away(later, self.at) <= allowed)
            good &= (earlier < self.begin) | (self.away(np.maximum(earlier, 0), self.at - 1) <= allowed)
        return good


def _judge_moves(moves: _Moves, kind: Int8, against: Int64) -> None:
    """Excursions first; what is neither one nor the way back from one is a new level, or a slip that is still open."""
    size, width = np.abs(moves.step), moves.widths()
    big = size >= np.log(moves.limits.factor)
    ways_back = np.zeros(len(kind), bool)
    for sessions in range(1, AFTER + 1):
        of_width = np.flatnonzero(width == sessions)
        ways_back[moves.at[of_width] + sessions] = True
        for day in range(sessions):
            cell = moves.at[of_width] + day
            kind[cell] = SPIKE if sessions == 1 else JUMP
            against[cell] = moves.at[of_width] - 1
    left = (kind[moves.at] == NONE) & ~ways_back[moves.at]
    nearest = np.abs(size[:, None] - _RATIOS).min(axis=1, initial=np.inf)
    likely = (big | (size >= _WILD * moves.calm)) & ~moves.series.first[moves.at - 1]  # nobody splits on the first day
    is_split = left & likely & (nearest <= np.log1p(_SPLIT)) & moves.stays()
    jumps = left & big & ~is_split
    _judge_first(moves, jumps, kind, against)
    kind[moves.at[is_split]], against[moves.at[is_split]] = SPLIT, moves.at[is_split] - 1
    _name_unit_slips(moves, kind, against)


def _judge_first(moves: _Moves, jumps: Bool, kind: Int8, against: Int64) -> None:
    """If the second price of a ticker jumps and the third one confirms it, the first one is suspect, not the second."""
    at = moves.at
    confirmed = (at + 1 < moves.end) & (moves.away(at + 1, at) <= np.log(moves.limits.factor) / 2)
    first = jumps & moves.series.first[at - 1] & confirmed
    kind[at[jumps & ~first]], against[at[jumps & ~first]] = JUMP, at[jumps & ~first] - 1
    kind[at[first] - 1], against[at[first] - 1] = JUMP, at[first]


def _name_unit_slips(moves: _Moves, kind: Int8, against: Int64) -> None:
    """A jump or spike by a power of ten of a price near it is a unit slip."""
    cell = np.flatnonzero((kind == JUMP) | (kind == SPIKE))
    code, fits = moves.series.code, np.zeros(len(cell), bool)
    for away in (-3, -2, -1, 1, 2, 3):
        other = np.clip(cell + away, 0, len(kind) - 1)
        fits |= (code[other] == code[cell]) & _is_power_of_ten(moves.level[cell] - moves.level[other])
    fits |= _is_power_of_ten(moves.level[cell] - moves.level[against[cell]])
    kind[cell[fits]] = UNIT_SLIP


def _is_power_of_ten(step: Float64) -> Bool:
    power = np.rint(step / np.log(10))
    good: Bool = (power != 0) & (np.abs(step - power * np.log(10)) <= np.log1p(_UNIT))
    return good


def _judge_stale(series: Series, limits: SuspectLimits, kind: Int8, against: Int64) -> None:
    """The cell with which a price has been the same for `stale` sessions, each with a volume: one for each run."""
    traded = series.volume > 0
    alike = (series.price[1:] == series.price[:-1]) & (series.code[1:] == series.code[:-1]) & traded[1:] & traded[:-1]
    starts = np.append(0, np.flatnonzero(~alike) + 1)
    lengths = np.diff(starts, append=len(series))
    long = lengths >= limits.stale
    at = starts[long] + limits.stale - 1
    kind[at], against[at] = STALE, starts[long]
