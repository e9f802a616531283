"""The price history of one bucket: ticks in, the cells that change out.

The cells lie in chunks, each a range of dates (`shelf`). An index says what is where and holds the last two prices of
each ticker (`timeline`). A batch of new dates reads no chunk. A late or corrected date reads the chunk that covers it.
If a ticker's neighbouring date lies in another chunk, it reads the nearest one before or after: never more, however
long the history is.

Within `apply` all cells that matter stand in one window in the order of (ticker, date), first as they were, then as
they are. Only a touched cell and the next one of its ticker can differ between the two. The window holds both of these
and the cell before. So the changes are the differences of prices, returns and volumes over the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streaming.corrections import Corrections, Did, Values, bits
from streaming.distinct import distinct
from streaming.fingerprint import NOTHING, Fingerprint, of_cells
from streaming.packets import (
    PRICE_CHANGED,
    RETURN_CHANGED,
    UNKNOWN_VOLUME,
    VOLUME_CHANGED,
    Changes,
    Dated,
    Superseded,
    Ticks,
)
from streaming.returns.account import account
from streaming.returns.chunks import MARK_NEW, MARK_PRICE, MARK_VOLUME, Cells, ChunkStore, key_code, key_date
from streaming.returns.shelf import Shelf
from streaming.returns.timeline import Timeline
from streaming.returns.transitions import of_drops, of_one_drop
from streaming.returns.window import Given, Rows, Window, gather, returns_of

if TYPE_CHECKING:
    from streaming.packets import Float64, Int8, Int64
    from streaming.returns.window import Bool

__all__ = ["Applied", "ChunkStore", "History"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did to one bucket.

    changes: the cells that differ from before; loaded: for each (drop, date, id) of the batch the tick that stands for
    it, int64 [n] seq and `Ticks` [n], its volume the last one that the drop gave; duplicates: by seq the rows that a
    later row of the same drop replaced, those of earlier batches included, drops without any left out; replaced: these
    rows, as `loaded`; before, after: the fingerprint of all cells; did: by seq, what each drop did; dated: the same by
    date; corrections: the cells that the drops changed. All three are to be added to what earlier batches gave of the
    first drop.
    """

    changes: Changes
    loaded: tuple[Int64, Ticks]
    duplicates: dict[int, Superseded]
    replaced: tuple[Int64, Ticks]
    before: Fingerprint
    after: Fingerprint
    did: dict[int, Did]
    dated: Dated
    corrections: Corrections


class History:
    """The prices and volumes of one bucket, kept in an index and in chunks of at most `chunk_cells` cells.

    index: what `index()` gave after the last batch, None before the first. The index and what was written to `chunks`
    belong together: after a failure both must be as they were before the batch. If a chunk has more than `chunk_cells`
    cells, it holds a single date.

    Raises:
        CheckpointError: the index, or later a chunk, is damaged or of another format.
    """

    def __init__(self, index: bytes | None, chunks: ChunkStore, *, chunk_cells: int = 4_096) -> None:
        self._timeline = Timeline.empty() if index is None else Timeline.from_bytes(index)
        self._shelf = Shelf(self._timeline, chunks, chunk_cells)

    def index(self) -> bytes:
        """The index as bytes, to be stored after `apply`."""
        return self._timeline.to_bytes()

    def apply(self, ticks: list[tuple[int, Ticks]], *, open_seq: int | None = None) -> Applied:
        """Takes in the packets of one batch, (seq, packet) in the order of seq and part.

        open_seq: the drop that goes on in the next batch, None if all end in this one.

        Raises:
            CheckpointError: a chunk is damaged or not the one that was written.
            ValueError: the packets are not in the order of seq.
        """
        before, known = self._fingerprint(), len(self._timeline.codes)
        given = gather(ticks, self._timeline.register)
        if not len(given.key):
            nothing = given.seq, Ticks.empty()
            did = Dated.empty(), Corrections.empty()
            return Applied(Changes.empty(), nothing, {}, nothing, before, before, {}, *did)
        self._timeline.widen()
        key, price, volume = given.winners()
        resumed = int(given.seq.min())  # only the first drop of a batch can have begun in an earlier one
        window, slot, merge = self._shelf.open(key, resumed)

        room, at = window.with_room(key, slot)
        old, now = room.cells, room.cells.copy()
        told = volume != UNKNOWN_VOLUME
        now.price[at], now.volume[at[told]] = price, volume[told]
        was, stands = _values(old), Values(now.price, now.volume, returns_of(now))
        changes, written = self._changes(now.key, was, stands)
        after = before - self._of(old, written & ~np.isnan(old.price)) + self._of(now, written)
        self._timeline.fingerprint = after

        alone = resumed == int(given.seq.max())
        met = of_one_drop(resumed, was, stands, at) if alone else of_drops(old, given, at)
        accounted = account(old, self._shelf.earlier, given, at, met, (self._timeline, known), open_seq)
        _mark(now.mark, old, given, at, open_seq)
        written[at[given.cell[given.seq == open_seq]]] = True
        written[accounted.changed] = True

        self._timeline.remember(now, distinct(key_code(key))[0])
        self._shelf.write(Window(now, room.slot), written, merge, open_seq, accounted.earlier)
        loaded = self._loaded(given, old, at, resumed)
        return Applied(changes, *loaded, before, after, accounted.did, accounted.dated, accounted.corrections)

    def _fingerprint(self) -> Fingerprint:
        """Of all cells. If an older stocketl has kept none, every chunk is read once."""
        timeline = self._timeline
        if timeline.fingerprint is None:
            everything = (self._of(cells, np.ones(len(cells.key), bool)) for cells in self._shelf.every_cell())
            timeline.fingerprint = sum(everything, NOTHING)
        return timeline.fingerprint

    def _of(self, cells: Cells, chosen: Bool) -> Fingerprint:
        some = np.flatnonzero(chosen)
        ids, code = self._timeline.names(key_code(cells.key[some]))
        return of_cells(ids, code, key_date(cells.key[some]), cells.price[some], cells.volume[some])

    def _changes(self, key: Int64, was: Values, stands: Values) -> tuple[Changes, Bool]:
        """The cells that differ; and for each cell, whether its price or volume does."""
        changed = np.where(bits(was.price) != bits(stands.price), PRICE_CHANGED, 0)
        changed |= np.where(was.return_differs(stands), RETURN_CHANGED, 0)
        changed |= np.where(was.volume != stands.volume, VOLUME_CHANGED, 0)
        some = np.flatnonzero(changed)
        ids, code = self._timeline.names(key_code(key[some]))
        changes = Changes(
            ids=ids,
            code=code,
            date=key_date(key[some]),
            price=stands.price[some],
            returns=stands.returns[some],
            volume=stands.volume[some],
            changed=changed[some].astype(np.uint8),
        )
        return changes, changed & (PRICE_CHANGED | VOLUME_CHANGED) > 0

    def _loaded(
        self, given: Given, old: Cells, at: Int64, resumed: int
    ) -> tuple[tuple[Int64, Ticks], dict[int, Superseded], tuple[Int64, Ticks]]:
        """The ticks that count, and the duplicates. Both include what the resumed drop gave in earlier batches."""
        mark = np.where(given.seq == resumed, old.mark[at[given.cell]], 0)
        before = old.take(at[given.cell])
        known = mark & MARK_VOLUME > 0
        volume = np.where((given.volume == UNKNOWN_VOLUME) & known, before.volume, given.volume)
        duplicates, again = dict(given.superseded), np.flatnonzero(mark)
        replaced = given.replaced
        if len(again):
            gave = np.where(known, before.volume, UNKNOWN_VOLUME)[again]
            conflicts = given.conflicts(resumed, again, before.price[again], gave)
            here = duplicates.get(resumed, Superseded(0, 0))
            duplicates[resumed] = Superseded(here.rows + len(again), conflicts, len(again))
            replaced = Rows(given.seq[again], given.key[again], before.price[again], gave).and_also(replaced)
        return (
            (given.seq, self._ticks(given.key, given.price, volume)),
            duplicates,
            (replaced.seq, self._ticks(replaced.key, replaced.price, replaced.volume)),
        )

    def _ticks(self, key: Int64, price: Float64, volume: Int64) -> Ticks:
        ids, code = self._timeline.names(key_code(key))
        return Ticks(ids, code, key_date(key), price, volume)


def _values(cells: Cells) -> Values:
    """What the cells hold; a cell that is not there has no return, and is passed over by the next one."""
    returns, there = np.full(len(cells.key), np.nan), np.flatnonzero(~np.isnan(cells.price))
    returns[there] = returns_of(cells.take(there))
    return Values(cells.price, cells.volume, returns)


def _mark(mark: Int8, old: Cells, given: Given, at: Int64, open_seq: int | None) -> None:
    """Marks what the open drop has given, and which cells were not there before it. mark: of the cells of `old`."""
    if open_seq != int(given.seq.min()):  # else the marks from earlier batches are its own
        mark[:] = 0
    opened = np.flatnonzero(given.seq == open_seq)
    gave = np.where(given.volume[opened] == UNKNOWN_VOLUME, MARK_PRICE, MARK_PRICE | MARK_VOLUME)
    mark[at[given.cell[opened]]] |= gave.astype(np.uint8)
    brought = np.isnan(old.price[at]) & (given.seq[given.starts] == open_seq)
    mark[at[brought]] |= MARK_NEW
