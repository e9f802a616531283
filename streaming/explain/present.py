"""The cells of the tables that a drop touches, and the ones before and after each: what its maths must know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streaming.audit.grid import read_grid
from streaming.database.days import day_of
from streaming.distinct import distinct
from streaming.ledger.tickers import placed, wide_name
from streaming.packets import UNKNOWN_VOLUME, Ticks

if TYPE_CHECKING:
    import numpy.typing as npt
    from psycopg2.extensions import cursor

    from streaming.audit.grid import Grid
    from streaming.packets import Float64, Int32, Int64

    Bool = npt.NDArray[np.bool_]

_FIRST_REACH, _FARTHER = 2, 16  # dates around each touched one that are read, and how many times more if need be


@dataclass
class _Cells:
    """What was found: lists of columns of equal lengths."""

    code: list[Int32] = field(default_factory=list)
    date: list[Int32] = field(default_factory=list)
    price: list[Float64] = field(default_factory=list)
    volume: list[Int64] = field(default_factory=list)

    def add(self, code: Int32, date: Int32, price: Float64, volume: Int64) -> None:
        """More cells."""
        self.code.append(code)
        self.date.append(date)
        self.price.append(price)
        self.volume.append(volume)

    def to_ticks(self, ids: list[str]) -> Ticks:
        """Each cell once: as it was added first, since neighbours come last and without their volume."""
        code = np.concatenate([np.empty(0, np.int32), *self.code])
        date = np.concatenate([np.empty(0, np.int32), *self.date])
        price = np.concatenate([np.empty(0, np.float64), *self.price])
        volume = np.concatenate([np.empty(0, np.int64), *self.volume])
        key = (code.astype(np.int64) << 32) + date
        _, once = np.unique(key, return_index=True)
        return Ticks(ids, code[once], date[once], price[once], volume[once])


def present_cells(cur: cursor, given: Ticks) -> tuple[Ticks, set[str]]:
    """The cells that `foresee` needs for these ticks, and the tickers that the tables have. Reads no more than that.

    The volume of a cell that is only a neighbour may be unknown here.
    """
    places = placed(cur, given.ids)
    found = _Cells()
    last = np.full(len(given.ids), np.iinfo(np.int32).min, np.int32)
    newer = _add_newest(cur, given, last, found)
    groups: dict[int, dict[str, str]] = {}
    for code, ticker in enumerate(given.ids):
        if ticker in places and not newer[code]:
            column, number = places[ticker]
            groups.setdefault(number, {})[ticker] = column
    for number, columns in groups.items():
        _TouchedGroup(cur, number, columns, given, last).add_to(found)
    return found.to_ticks(given.ids), set(places)


def _add_newest(cur: cursor, given: Ticks, last: Int32, found: _Cells) -> Bool:
    """Adds the newest cell of each ticker and notes its date in `last`. Says of which tickers all ticks are newer."""
    cur.execute("SELECT id, date, price, volume FROM stocketl.latest WHERE id = ANY(%s)", (given.ids,))
    newest = {ticker: cell for ticker, *cell in cur.fetchall()}
    code = np.array([place for place, ticker in enumerate(given.ids) if ticker in newest], np.int32)
    cells = [newest[given.ids[place]] for place in code.tolist()]
    date = np.array([day_of(day) for day, _, _ in cells], np.int32)
    volume = [UNKNOWN_VOLUME if volume is None else volume for _, _, volume in cells]
    found.add(code, date, np.array([price for _, price, _ in cells], np.float64), np.array(volume, np.int64))
    last[code] = date
    first = np.full(len(given.ids), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first, given.code, given.date)
    return first > last


@dataclass(frozen=True)
class _Around:
    """Prices around some ticks.

    waiting: which ticks; low, high: their places among the dates of the table, the same if
    it has no such date; places: of the dates that were read; columns: that were read, `column` points into them.
    """

    waiting: Int64
    reach: int
    low: Int64
    high: Int64
    places: Int64
    columns: Int64
    column: Int64
    grid: Grid


class _TouchedGroup:
    """The tables of one number: some of their columns, and the ticks of these tickers."""

    def __init__(self, cur: cursor, number: int, columns: dict[str, str], given: Ticks, last: Int32) -> None:
        self._cur = cur
        self._number = number
        self._columns = list(columns.items())
        codes = {ticker: code for code, ticker in enumerate(given.ids)}
        self._code = np.array([codes[ticker] for ticker, _ in self._columns], np.int32)
        column_of = np.full(len(given.ids), -1, np.int64)
        column_of[self._code] = np.arange(len(self._columns))
        at = np.flatnonzero(column_of[given.code] >= 0)
        self._column, self._date, self._last = column_of[given.code[at]], given.date[at], last[given.code[at]]
        dates, _ = read_grid(cur, wide_name("prices", number), {}, np.float64)
        self._dates = dates.date

    def add_to(self, found: _Cells) -> None:
        """Adds the touched cells with their volumes, and their neighbours, looking farther until each is found."""
        waiting, reach = np.arange(len(self._date)), _FIRST_REACH
        while len(waiting):
            around = self._around(waiting, reach)
            if reach == _FIRST_REACH:
                self._add_own(around, found)
            waiting = waiting[~self._add_neighbours(around, found)]
            reach *= _FARTHER

    def _around(self, waiting: Int64, reach: int) -> _Around:
        """The prices of some ticks' tickers on the dates that lie within `reach` of theirs."""
        low = np.searchsorted(self._dates, self._date[waiting])
        high = np.searchsorted(self._dates, self._date[waiting], side="right")
        steps = np.zeros(len(self._dates) + 1, np.int64)
        np.add.at(steps, np.maximum(low - reach, 0), 1)
        np.add.at(steps, np.minimum(high + reach, len(self._dates)), -1)
        places = np.flatnonzero(np.cumsum(steps)[:-1])
        columns, column = distinct(self._column[waiting])
        grid = self._read("prices", self._dates[places], columns)
        return _Around(waiting, reach, low, high, places, columns, column, grid)

    def _add_own(self, around: _Around, found: _Cells) -> None:
        """Adds the cells that the ticks themselves are for."""
        grid, at = around.grid, np.flatnonzero(around.high > around.low)
        row, column = np.searchsorted(around.places, around.low[at]), around.column[at]
        there = grid.there[row, column]
        row, column = row[there], column[there]
        dates, place = distinct(grid.date[row])
        volume = self._read("volume", dates, around.columns).on(dates)
        known = np.where(volume.there, volume.values, UNKNOWN_VOLUME)[place, column]
        found.add(self._code[around.columns[column]], grid.date[row], grid.values[row, column], known)

    def _add_neighbours(self, around: _Around, found: _Cells) -> Bool:
        """Adds the cells before and after the ticks; says which ticks need no farther look."""
        grid, places, column, reach = around.grid, around.places, around.column, around.reach
        if not len(places):
            return np.ones(len(around.waiting), bool)
        rows = np.arange(len(places))[:, None]
        before = np.maximum.accumulate(np.where(grid.there, rows, -1), axis=0)
        after = np.minimum.accumulate(np.where(grid.there, rows, len(rows))[::-1], axis=0)[::-1]

        older = np.searchsorted(places, around.low) - 1
        older = np.where(older >= 0, before[np.maximum(older, 0), column], -1)
        has_older = (older >= 0) & (places[np.maximum(older, 0)] >= around.low - reach)
        newer = np.searchsorted(places, around.high)
        newer = np.where(newer < len(places), after[np.minimum(newer, len(places) - 1), column], len(places))
        has_newer = (newer < len(places)) & (places[np.minimum(newer, len(places) - 1)] < around.high + reach)
        for row, there in ((older, has_older), (newer, has_newer)):
            at, some = row[there], column[there]
            unknown = np.full(len(at), UNKNOWN_VOLUME, np.int64)
            found.add(self._code[around.columns[some]], grid.date[at], grid.values[at, some], unknown)
        at_end = self._date[around.waiting] >= self._last[around.waiting]
        none_older = around.low - reach <= 0
        none_newer = (around.high + reach >= len(self._dates)) | at_end
        return (has_older | none_older) & (has_newer | none_newer)

    def _read(self, kind: str, dates: Int32, columns: Int64) -> Grid:
        chosen = dict(self._columns[place] for place in columns.tolist())
        dtype = np.int64 if kind == "volume" else np.float64
        return read_grid(self._cur, wide_name(kind, self._number), chosen, dtype, only=dates.tolist())[0]
