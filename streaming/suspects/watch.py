"""Which suspects a batch opens and closes: only the surroundings of the cells that it changed are examined.

The result is a function of the tables: the same whatever batches have led there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streaming.distinct import distinct, order_of
from streaming.suspects import loading
from streaming.suspects.moves import AFTER, KINDS, Series, SuspectLimits, examine, touched
from streaming.suspects.recent import Recent, merged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from psycopg2.extensions import cursor

    from streaming.ledger.tickers import Place
    from streaming.packets import Changes, Int32, Int64
    from streaming.suspects.moves import Bool

_CELLS_OF_A_PIECE = 1 << 16
_DAYS_OF_A_PIECE = 1 << 22  # of all tickers together; some hundred megabytes
_SCREENED = AFTER + 2  # newest prices: if no step between them is large, a new one opens and closes nothing


@dataclass(frozen=True, slots=True)
class Suspect:
    """A cell worth a look. kind: one of `KINDS`; level, level_date: the price that it does not fit, and its date."""

    date: int
    id: str
    kind: str
    price: float
    level_date: int
    level: float


@dataclass
class Examined:
    """cells: by ticker, the dates whose verdict was made anew; suspects: what was found among them."""

    cells: dict[str, list[Int32]] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)

    def add(self, ids: Sequence[str], series: Series, cells: Bool, limits: SuspectLimits) -> None:
        """Examines a series, whose codes are places in `ids`, and takes the verdicts on some of its cells."""
        at = np.flatnonzero(cells)
        if not len(at):
            return
        codes = series.code[at]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        for code, dates in zip(codes[starts].tolist(), np.split(series.date[at], starts[1:]), strict=True):
            self.cells.setdefault(ids[code], []).append(dates)
        found = examine(series, limits)
        for place, kind, other in zip(found.at.tolist(), found.kind.tolist(), found.against.tolist(), strict=True):
            if cells[place]:
                self.suspects.append(
                    Suspect(
                        int(series.date[place]),
                        ids[int(series.code[place])],
                        KINDS[kind],
                        float(series.price[place]),
                        int(series.date[other]),
                        float(series.price[other]),
                    )
                )


class SuspectWatch:
    """Follows the batches of one job, each in its transaction, after the wide tables were written."""

    def __init__(self, limits: SuspectLimits) -> None:
        self._limits = limits
        self._reach = limits.before + AFTER
        self._recent = Recent(self._reach + AFTER + 2)
        self._last = -1

    def examined(
        self,
        tables: Callable[[], cursor],
        batch_id: int,
        changes: Changes,
        places: Mapping[str, Place],
        new: Collection[str],
    ) -> Examined:
        """What the changes of a batch make of the cells around them.

        tables: called if the tables must be read, which have the changes by then; new: tickers that had no cell before.
        """
        if batch_id <= self._last:  # the transaction is tried again, perhaps with other drops
            self._recent = Recent(self._recent.depth)
        self._last = batch_id
        found, recent, ids = Examined(), self._recent, changes.ids
        recent.add(sorted(new), whole=True)
        self._fill(tables, recent.lacking(ids), places)
        shelves = recent.shelves(ids)
        counts = np.bincount(changes.code, minlength=len(ids))
        simple = (counts == 1)[changes.code] & (changes.date > recent.last(shelves)[changes.code])
        self._append(found, shelves, changes, np.flatnonzero(simple))
        deep = [self._merge(found, changes, some) for some in _pieces(changes.code, np.flatnonzero(~simple))]
        for some in _far_back(changes, np.concatenate(deep)):
            self._look_back(found, tables(), changes, some, places)
        return found

    def _fill(self, tables: Callable[[], cursor], ids: list[str], places: Mapping[str, Place]) -> None:
        """Shelves from the tables, which have the changes of this batch already."""
        if ids:
            newest = loading.newest(tables(), ids, places, self._recent.depth)
            self._recent.add(ids, whole=False)
            self._recent.put(self._recent.shelves(ids), newest)

    def _append(self, found: Examined, shelves: Int64, changes: Changes, at: Int64) -> None:
        """One new cell for each of many tickers, as a new day brings them. Few of these need an examination."""
        if not len(at):
            return
        of = shelves[changes.code[at]]
        self._recent.append(of, changes.date[at], changes.price[at], changes.volume[at])
        prices = self._recent.newest(of, _SCREENED)
        ratios = prices[:, 1:] / prices[:, :-1]
        smallest = (1 + self._limits.spike) * (1 - 1e-9)  # a hair less, since `examine` works with logarithms
        large = ((ratios >= smallest) | (ratios <= 1 / smallest)).any(axis=1)
        worth = np.flatnonzero(large | (prices[:, -1] == prices[:, -2]))
        series = self._recent.series(of[worth])
        newest = np.diff(series.code, append=-1) != 0
        ids = [changes.ids[code] for code in changes.code[at[worth]].tolist()]
        found.add(ids, series, touched(series, newest, self._limits), self._limits)

    def _merge(self, found: Examined, changes: Changes, at: Int64) -> Int64:
        """Any other cells. Gives those that lie too far back for the shelves: the tables must be read for them."""
        if not len(at):
            return at
        recent = self._recent
        codes, code = distinct(changes.code[at])
        ids = [changes.ids[number] for number in codes.tolist()]
        shelves = recent.shelves(ids)
        deep = changes.date[at] < recent.reaches(shelves, self._reach)[code]
        old = recent.series(shelves)
        held = changes.date[at] >= recent.reaches(shelves, 0)[code]
        given = at[held]
        whole = recent.whole(shelves)[code[held]]
        new = Series(
            code[held].astype(np.int32), changes.date[given], changes.price[given], changes.volume[given], whole
        )
        series, is_new = merged(old, new)
        far = np.full(len(codes), np.iinfo(np.int32).max, np.int32)
        np.minimum.at(far, code[~deep], changes.date[at[~deep]])
        shallow = is_new & (series.date >= far[series.code])
        found.add(ids, series, touched(series, shallow, self._limits), self._limits)
        recent.put(shelves, series)
        return at[deep]

    def _look_back(
        self, found: Examined, cur: cursor, changes: Changes, at: Int64, places: Mapping[str, Place]
    ) -> None:
        """at: in the order of ticker and date."""
        date = changes.date[at]
        stretches, of = loading.stretches_of(changes.ids, changes.code[at], date, apart=2 * self._reach)
        series = loading.around(cur, stretches, places, self._reach)
        key = (series.code.astype(np.int64) << 32) + series.date
        wanted = (of.astype(np.int64) << 32) + date
        changed = np.append(wanted, -1)[np.searchsorted(wanted, key)] == key  # both ascend: np.isin would sort them
        found.add([one.ticker for one in stretches], series, touched(series, changed, self._limits), self._limits)


def _far_back(changes: Changes, at: Int64) -> list[Int64]:
    """The places in the order of ticker and date, cut into pieces of whole tickers that fit into memory.

    The fewer they are, the less often the wide rows are read from which they take their columns.
    """
    if not len(at):
        return []
    at = at[order_of(changes.code[at], changes.date[at])]
    begins = np.flatnonzero(np.diff(changes.code[at], prepend=-1))
    ends = np.append(begins[1:], len(at)) - 1
    days = (changes.date[at[ends]] - changes.date[at[begins]]).astype(np.int64) + 1
    piece = np.cumsum(days) // _DAYS_OF_A_PIECE
    return np.split(at, begins[np.flatnonzero(np.diff(piece)) + 1])


def _pieces(code: Int32, at: Int64) -> list[Int64]:
    """The places, cut into pieces of whole tickers: memory that stays in the cache of a core is quicker."""
    if len(at) <= _CELLS_OF_A_PIECE:
        return [at]
    begins = np.flatnonzero(np.diff(code[at], prepend=-1))
    if len(begins) > len(distinct(code[at])[0]):
        return [at]  # the cells of a ticker do not follow one another
    cuts = begins[np.diff(begins // _CELLS_OF_A_PIECE, prepend=-1) != 0]
    return np.split(at, cuts[1:])
