"""The part of a bucket's history that one batch concerns, as sorted columns; no state and no store."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streaming.conflicts import differs
from streaming.distinct import distinct, order_of
from streaming.packets import UNKNOWN_VOLUME, Superseded
from streaming.returns.chunks import Cells, cell_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from streaming.packets import Float64, Int32, Int64, Ticks

    Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they were given: seq, key, volume int64 [n], price float64 [n]."""

    seq: Int64
    key: Int64
    price: Float64
    volume: Int64

    def and_also(self, others: Rows) -> Rows:
        """Both."""
        if not len(others.key):
            return self
        return self.join([self, others])

    @staticmethod
    def join(parts: list[Rows]) -> Rows:
        """All of them."""
        if len(parts) == 1:
            return parts[0]
        return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__slots__))

    def take(self, places: slice) -> Rows:
        """Those at these places."""
        return Rows(self.seq[places], self.key[places], self.price[places], self.volume[places])

    def keys(self) -> Int64:
        """The distinct keys. This and what follows: of rows in the order of key, then seq."""
        found: Int64 = self.key[np.diff(self.key, prepend=-1) != 0]
        return found

    def pieces(self, size: int) -> list[Rows]:
        """These rows, cut between tickers into pieces of some `size` rows; a ticker is never cut."""
        begins = np.flatnonzero(np.diff(self.key >> 32, prepend=-1))
        cuts = begins[np.diff(begins // size, prepend=-1) != 0].tolist()
        return [self.take(slice(a, b)) for a, b in itertools.pairwise([*cuts, len(self.key)])]

    def given(self) -> Given:
        """The ticks of these rows."""
        return _given(self.seq, self.key, self.price, self.volume)


@dataclass(frozen=True, slots=True)
class Given:
    """What a batch gives: a tick for each (cell, drop), in the order of cell key, then seq.

    seq, key, volume: int64 [n]; price: float64 [n]; cell: int64 [n], the place of the tick's key among the distinct
    ones; starts: int64 [distinct keys], where each key begins; superseded: rows of a drop that a later one of the same
    drop replaced, by seq, the drops without any left out; replaced: these rows themselves; rows: all rows, in the order
    of key, then seq; begins: int64 [n], where those of each tick begin.
    """

    seq: Int64
    key: Int64
    price: Float64
    volume: Int64
    cell: Int64
    starts: Int64
    superseded: dict[int, Superseded]
    replaced: Rows
    rows: Rows
    begins: Int64

    def conflicts(self, seq: int, ticks: Int64, price: Float64, volume: Int64) -> int:
        """Rows of a drop that differ from what its rows before them say, those of earlier batches included.

        ticks: places of this drop's ticks that it gave before, and the price and volume that it gave.
        """
        of_drop = np.flatnonzero(self.rows.seq == seq)
        begins = np.zeros(len(self.rows.key), np.int64)
        begins[self.begins] = 1
        group = np.cumsum(begins)[of_drop]
        at = np.searchsorted(of_drop, self.begins[ticks])
        prices = np.insert(self.rows.price[of_drop], at, price)
        volumes = np.insert(self.rows.volume[of_drop], at, volume)
        return int(np.count_nonzero(differs(prices, volumes, np.insert(group, at, group[at]))))

    def winners(self) -> tuple[Int64, Float64, Int64]:
        """The distinct keys, ascending, with the last price and the last known volume of each."""
        if len(self.starts) == len(self.key):
            return self.key, self.price, self.volume
        return (self.key[self.starts], *_last(self.starts, self.price, self.volume))


@dataclass(slots=True)
class Window:
    """Cells of one history in the order of key, and the slot of each one's chunk; -1: only the index has it."""

    cells: Cells
    slot: Int64

    @classmethod
    def join(cls, parts: list[Window]) -> Window:
        """All cells of the parts, which share none."""
        some = [part for part in parts if len(part.slot)]
        if not some:
            return cls(Cells(*(np.empty(0, dtype) for dtype in ("i8", "f8", "i8", "u1"))), np.empty(0, np.int64))
        if len(some) == 1:
            return some[0]
        key = np.concatenate([part.cells.key for part in some])
        price = np.concatenate([part.cells.price for part in some])
        volume = np.concatenate([part.cells.volume for part in some])
        mark = np.concatenate([part.cells.mark for part in some])
        window = cls(Cells(key, price, volume, mark), np.concatenate([part.slot for part in some]))
        return window.take(np.argsort(key, kind="stable"))  # timsort: the parts are sorted runs

    @classmethod
    def of_pieces(cls, parts: list[Window]) -> Window:
        """Those that follow one another in the order of key."""
        if len(parts) == 1:
            return parts[0]
        columns = (np.concatenate([getattr(part.cells, name) for part in parts]) for name in Cells.__slots__)
        return cls(Cells(*columns), np.concatenate([part.slot for part in parts]))

    def take(self, places: Int64 | slice) -> Window:
        """The cells at these places."""
        return Window(self.cells.take(places), self.slot[places])

    def holds(self, key: Int64) -> Bool:
        """Whether each key is in the window."""
        found: Bool = np.append(self.cells.key, -1)[np.searchsorted(self.cells.key, key)] == key
        return found

    def neighbours(self, key: Int64, slot: Int64) -> tuple[Bool, Bool]:
        """Whether the slot of each key holds an older and a newer cell of the same ticker."""
        at = np.searchsorted(self.cells.key, key) + 1  # in the columns padded by one on both sides
        code = np.pad(self.cells.key >> 32, 1, constant_values=-1)
        slots = np.pad(self.slot, 1, constant_values=-1)
        after = at + self.holds(key)
        older = (code[at - 1] == key >> 32) & (slots[at - 1] == slot)
        return older, (code[after] == key >> 32) & (slots[after] == slot)

    def with_room(self, key: Int64, slot: Int64) -> tuple[Window, Int64]:
        """The window with an empty cell (price NaN, volume unknown) for each new key, and the place of each key."""
        if not len(self.slot):
            price, volume = np.full(len(key), np.nan), np.full(len(key), UNKNOWN_VOLUME)
            return Window(Cells(key, price, volume, np.zeros(len(key), np.uint8)), slot), np.arange(len(key))
        at, new, old = np.searchsorted(self.cells.key, key), ~self.holds(key), self.cells
        gap = at[new]
        price, volume = np.insert(old.price, gap, np.nan), np.insert(old.volume, gap, UNKNOWN_VOLUME)
        cells = Cells(np.insert(old.key, gap, key[new]), price, volume, np.insert(old.mark, gap, 0))
        return Window(cells, np.insert(self.slot, gap, slot[new])), at + np.cumsum(new) - new


def gather(packets: Iterable[tuple[int, Ticks]], register: Callable[[list[str]], Int32]) -> Rows:
    """The rows of the packets of a batch, in the order of key, then seq.

    register: turns tickers into codes of the history.

    Raises:
        ValueError: the packets are not in the order of seq.
    """
    codes, previous, ticks = [np.empty(0, np.int32)], 0, list(packets)
    for seq, packet in ticks:
        if seq < previous:
            msg = f"packets of a batch: expected seq {previous} or later, got {seq}. Sort them by seq and part."
            raise ValueError(msg)
        previous = seq
        # The ids may be shared with other buckets: only those with rows here are tickers of this one.
        used = np.flatnonzero(np.bincount(packet.code, minlength=len(packet.ids)))
        code = np.zeros(len(packet.ids), np.int32)
        code[used] = register([packet.ids[ticker] for ticker in used.tolist()])
        codes.append(code[packet.code])
    drops = np.array([seq for seq, _ in ticks], np.int64)
    row_seq = np.repeat(drops, [len(packet) for _, packet in ticks])
    code, date = np.concatenate(codes), np.concatenate([codes[0], *(packet.date for _, packet in ticks)])
    price = np.concatenate([np.empty(0), *(packet.price for _, packet in ticks)])
    volume = np.concatenate([np.empty(0, np.int64), *(packet.volume for _, packet in ticks)])
    order = order_of(code, date)
    return Rows(row_seq[order], cell_key(code[order], date[order]), price[order], volume[order])


def returns_of(cells: Cells) -> Float64:
    """float64 [n]: price / previous price of the ticker - 1, NaN where there is none."""
    returns = np.full(len(cells.key), np.nan)
    same = cells.key[1:] >> 32 == cells.key[:-1] >> 32
    returns[1:][same] = (cells.price[1:] / cells.price[:-1] - 1)[same]
    return returns


def cut(counts: Int64, slot: Int64, limit: int) -> list[int]:
    """Where chunks begin among ascending dates of `counts` cells each.

    A chunk above `limit` cells has a single date; none reaches over two slots; the cells of a slot are dealt evenly.
    """
    starts, ends = [], np.cumsum(counts)
    borders = [0, *(np.flatnonzero(np.diff(slot)) + 1).tolist(), len(counts)]
    for begin, stop in itertools.pairwise(borders):
        start = begin
        while start < stop:
            starts.append(start)
            done = int(ends[start] - counts[start])
            left = int(ends[stop - 1]) - done
            share = -(-left // -(-left // limit))
            start = min(stop, max(start + 1, int(np.searchsorted(ends, done + share, side="right"))))
    return starts


def _given(seq: Int64, key: Int64, price: Float64, volume: Int64) -> Given:
    new_key = np.diff(key, prepend=-1) != 0
    begins = new_key | (np.diff(seq, prepend=-1) != 0)
    ticks, rows = np.flatnonzero(begins), Rows(seq, key, price, volume)
    if len(ticks) == len(key):  # no drop has two rows for a cell
        cell, starts = np.cumsum(new_key) - 1, np.flatnonzero(new_key)
        return Given(seq, key, price, volume, cell, starts, {}, rows.take(slice(0)), rows, ticks)
    last_price, last_volume = _last(ticks, price, volume)
    superseded, replaced = _superseded(seq, key, price, volume, ticks)
    return Given(
        seq=seq[ticks],
        key=key[ticks],
        price=last_price,
        volume=last_volume,
        cell=np.cumsum(new_key[ticks]) - 1,
        starts=np.flatnonzero(new_key[ticks]),
        superseded=superseded,
        replaced=replaced,
        rows=rows,
        begins=ticks,
    )


def _superseded(
    seq: Int64, key: Int64, price: Float64, volume: Int64, ticks: Int64
) -> tuple[dict[int, Superseded], Rows]:
    """Rows that are not the last of their tick: how many of each drop, and themselves. ticks: where each begins."""
    last = np.zeros(len(seq), bool)
    last[np.append(ticks[1:], len(seq))[: len(ticks)] - 1] = True
    replaced = np.flatnonzero(~last)
    rows = Rows(seq[replaced], key[replaced], price[replaced], volume[replaced])
    if not len(replaced):
        return {}, rows
    starts = np.zeros(len(seq), np.int64)
    starts[ticks] = 1
    conflict = differs(price, volume, np.cumsum(starts))
    drops, drop = distinct(seq)
    counts = np.bincount(drop[replaced], minlength=len(drops))
    conflicts = np.bincount(drop[conflict], minlength=len(drops))
    found = zip(drops.tolist(), counts.tolist(), conflicts.tolist(), strict=True)
    return {seq: Superseded(count, of_them) for seq, count, of_them in found if count}, rows


def _last(starts: Int64, price: Float64, volume: Int64) -> tuple[Float64, Int64]:
    """The last price and the last known volume of each group of rows."""
    if not len(starts):
        return price, volume
    ends = np.append(starts[1:], len(price)) - 1
    known = np.maximum.reduceat(np.where(volume == UNKNOWN_VOLUME, -1, np.arange(len(volume))), starts)
    return price[ends], np.where(known < 0, UNKNOWN_VOLUME, volume[known])
