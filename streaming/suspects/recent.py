"""The newest prices of each ticker, so that a new day is examined without reading a table.

A ticker's shelf holds its newest cells, up to `depth` of them, as they stand in the tables. Only the job's own batches
change the tables, so a shelf stays true once it was filled. What lies before a shelf must be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streaming.suspects.moves import Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.packets import Float64, Int32, Int64

    Bool = npt.NDArray[np.bool_]

NEVER = np.iinfo(np.int32).min
_SHELVES = 1024


class Recent:
    """Shelves by ticker. depth: cells of each.

    A shelf is full, or it has every cell of its ticker. It grows to the right in twice the room that it needs, and is
    moved to the left at the end: to move it for each new cell would cost more than all else.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._shelf: dict[str, int] = {}
        self._date = np.full((0, 2 * depth), NEVER, np.int32)
        self._price = np.full((0, 2 * depth), np.nan)
        self._volume = np.full((0, 2 * depth), -1, np.int64)
        self._end = np.zeros(0, np.int64)
        self._whole = np.zeros(0, bool)  # whether a shelf has every cell of its ticker

    def lacking(self, ids: Sequence[str]) -> list[str]:
        """Those of the tickers that have no shelf."""
        known = self._shelf
        return [ticker for ticker in ids if ticker not in known]

    def add(self, ids: Sequence[str], *, whole: bool) -> None:
        """Empty shelves for tickers that have none. whole: the tables have no cell of them yet."""
        new = self.lacking(ids)
        for ticker in new:
            self._shelf[ticker] = len(self._shelf)
        lacking = len(self._shelf) - len(self._date)
        if lacking > 0:
            room = max(lacking, _SHELVES, len(self._date) // 2)
            shape = (room, 2 * self.depth)
            self._date = np.concatenate([self._date, np.full(shape, NEVER, np.int32)])
            self._price = np.concatenate([self._price, np.full(shape, np.nan)])
            self._volume = np.concatenate([self._volume, np.full(shape, -1, np.int64)])
            self._end = np.concatenate([self._end, np.full(room, self.depth)])
            self._whole = np.concatenate([self._whole, np.zeros(room, bool)])
        self._whole[self.shelves(new)] = whole

    def shelves(self, ids: Sequence[str]) -> Int64:
        """The shelf of each ticker. Raises KeyError."""
        return np.fromiter(map(self._shelf.__getitem__, ids), np.int64, len(ids))

    def reaches(self, shelves: Int64, needed: int) -> Int32:
        """The earliest date of a cell with at least `needed` cells before it, or with every cell of its ticker."""
        return np.where(self._whole[shelves], NEVER, self._date[shelves, self._end[shelves] - self.depth + needed])

    def whole(self, shelves: Int64) -> Bool:
        """Whether each shelf has every cell of its ticker."""
        return self._whole[shelves]

    def last(self, shelves: Int64) -> Int32:
        """The newest date of each shelf, `NEVER` if it is empty."""
        return self._date[shelves, self._end[shelves] - 1]

    def append(self, shelves: Int64, date: Int32, price: Float64, volume: Int64) -> None:
        """One new cell, later than all others, for each of these distinct shelves."""
        full = shelves[self._end[shelves] == 2 * self.depth]
        if len(full):
            for column, nothing in ((self._date, NEVER), (self._price, np.nan), (self._volume, -1)):
                column[full, : self.depth] = column[full, self.depth :]
                column[full, self.depth :] = nothing
            self._end[full] = self.depth
        end = self._end[shelves]
        self._whole[shelves] &= self._date[shelves, end - self.depth] == NEVER
        self._date[shelves, end], self._price[shelves, end], self._volume[shelves, end] = date, price, volume
        self._end[shelves] = end + 1

    def newest(self, shelves: Int64, cells: int) -> Float64:
        """Prices [shelves, cells] of the newest cells, NaN where there are fewer."""
        flat = (shelves * 2 * self.depth)[:, None] + self._places(shelves, cells)
        return self._price.reshape(-1).take(flat)

    def series(self, shelves: Int64) -> Series:
        """All cells of these shelves; a cell's code is the place of its shelf in the argument."""
        places = self._places(shelves, self.depth)
        row, column = np.nonzero(self._date[shelves[:, None], places] != NEVER)
        at = shelves[row], places[row, column]
        first = (np.diff(row, prepend=-1) != 0) & self._whole[shelves][row]
        return Series(row.astype(np.int32), self._date[at], self._price[at], self._volume[at], first)

    def put(self, shelves: Int64, series: Series) -> None:
        """The newest cells of series in the place of what these shelves hold; codes as `series` gives them."""
        counts = np.bincount(series.code, minlength=len(shelves))
        place = np.arange(len(series)) - np.repeat(np.cumsum(counts), counts) + self.depth
        fits = place >= 0
        at = shelves[series.code[fits]], place[fits]
        self._date[shelves], self._price[shelves], self._volume[shelves] = NEVER, np.nan, -1
        self._end[shelves] = self.depth
        self._date[at], self._price[at], self._volume[at] = series.date[fits], series.price[fits], series.volume[fits]
        begins = np.zeros(len(shelves), bool)
        begins[series.code[series.first]] = True
        self._whole[shelves] = (begins | (counts == 0)) & (counts <= self.depth)

    def _places(self, shelves: Int64, cells: int) -> Int64:
        return self._end[shelves][:, None] + np.arange(-cells, 0)


def merged(old: Series, new: Series) -> tuple[Series, Bool]:
    """Both, a new cell in the place of an old one of its ticker and date; and which cells are new ones.

    A ticker whose first cell is known keeps that; its first cell may be a new one now.
    """
    code = np.concatenate([old.code, new.code])
    date = np.concatenate([old.date, new.date])
    key = (code.astype(np.int64) << 32) + date
    order = np.argsort(key, kind="stable")
    kept = order[np.append(np.diff(key[order]) != 0, True)[: len(order)]]
    pairs = ((old.price, new.price), (old.volume, new.volume))
    price, volume = (np.concatenate(pair)[kept] for pair in pairs)
    begins_known = np.zeros(int(code.max(initial=-1)) + 1, bool)
    begins_known[old.code[old.first]] = True
    begins_known[new.code[new.first]] = True
    first = (np.diff(code[kept], prepend=-1) != 0) & begins_known[code[kept]]
    return Series(code[kept], date[kept], price, volume, first), kept >= len(old)
