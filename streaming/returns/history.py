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

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streaming.corrections import Corrections, Did
from streaming.distinct import distinct
from streaming.fingerprint import NOTHING, Fingerprint
from streaming.packets import Changes, Dated, Superseded, Ticks
from streaming.returns.account import joined
from streaming.returns.chunks import ChunkStore, Earlier, key_code, key_date
from streaming.returns.piece import BatchDrops, Before, ChangedCells, fingerprint_of, piece_of
from streaming.returns.shelf import Shelf
from streaming.returns.timeline import Timeline
from streaming.returns.window import Rows, Window, gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streaming.packets import Int64

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
    cells, it holds a single date. A batch is worked out in pieces of some `piece_rows` rows, of whole tickers.

    Raises:
        CheckpointError: the index, or later a chunk, is damaged or of another format.
    """

    def __init__(
        self, index: bytes | None, chunks: ChunkStore, *, chunk_cells: int = 4_096, piece_rows: int = 1 << 16
    ) -> None:
        self._timeline = Timeline.empty() if index is None else Timeline.from_bytes(index)
        self._shelf = Shelf(self._timeline, chunks, chunk_cells)
        self._piece_rows = piece_rows

    def index(self) -> bytes:
        """The index as bytes, to be stored after `apply`."""
        return self._timeline.to_bytes()

    def apply(
        self,
        ticks: Iterable[tuple[int, Ticks]],
        *,
        open_seq: int | None = None,
        changes: Callable[[Changes], None] | None = None,
        corrections: Callable[[Corrections], None] | None = None,
    ) -> Applied:
        """Takes in the packets of one batch, (seq, packet) in the order of seq and part.

        open_seq: the drop that goes on in the next batch, None if all end in this one; changes, corrections: get them
        at once, those of some tickers at a time, and the result has none.

        Raises:
            CheckpointError: a chunk is damaged or not the one that was written.
            ValueError: the packets are not in the order of seq.
        """
        before, known = self._fingerprint(), len(self._timeline.codes)
        rows = gather(ticks, self._timeline.register)
        if not len(rows.key):
            nothing = rows.seq, Ticks.empty()
            return Applied(
                Changes.empty(), nothing, {}, nothing, before, before, {}, Dated.empty(), Corrections.empty()
            )
        self._timeline.widen()
        key = rows.keys()
        drops = BatchDrops(int(rows.seq.min()), int(rows.seq.max()), open_seq)
        window, slot, merge = self._shelf.open(key, drops.first)
        past = Before(self._timeline, known, self._shelf.earlier)
        kept_changes: list[ChangedCells] = []
        kept_corrections: list[Corrections] = []

        def take(some: ChangedCells) -> None:
            if changes is None:
                kept_changes.append(some)
            elif len(some.key):
                changes(self._changes([some]))

        pieces = (
            piece_of(some.given(), part, slots, drops, past, (take, corrections or kept_corrections.append))
            for some, part, slots in _cut(rows.pieces(self._piece_rows), window, key, slot)
        )
        windows, written, sums, loaded, replaced, duplicates, accounts = map(list, zip(*pieces, strict=True))
        del ticks, rows, window

        # each kind is joined and forgotten, so that a large batch stands in memory once
        did, dated, fresh = joined(accounts)
        accounts.clear()
        now = Window.of_pieces(windows)
        windows.clear()
        after = sum(sums, before)
        self._timeline.fingerprint = after
        self._timeline.remember(now.cells, distinct(key_code(key))[0])
        kept = past.remembered if drops.open == drops.first else Earlier.empty()
        self._shelf.write(now, np.concatenate(written), merge, open_seq, kept.and_also(fresh.key, fresh.values))
        del now
        return Applied(
            self._changes(kept_changes) if kept_changes else Changes.empty(),
            self._ticks(loaded),
            _added(duplicates),
            self._ticks(replaced),
            before,
            after,
            did,
            dated,
            Corrections.join(kept_corrections),
        )

    def _fingerprint(self) -> Fingerprint:
        """Of all cells. If an older stocketl has kept none, every chunk is read once."""
        timeline = self._timeline
        if timeline.fingerprint is None:
            chunks = self._shelf.every_cell()
            everything = (fingerprint_of(timeline, cells, np.ones(len(cells.key), bool)) for cells in chunks)
            timeline.fingerprint = sum(everything, NOTHING)
        return timeline.fingerprint

    def _changes(self, parts: list[ChangedCells]) -> Changes:
        """Of all pieces; the list is empty then."""
        key, price, returns, volume, changed = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ChangedCells.__slots__
        )
        parts.clear()
        ids, code = self._timeline.names(key_code(key))
        return Changes(ids, code, key_date(key), price, returns, volume, changed)

    def _ticks(self, parts: list[Rows]) -> tuple[Int64, Ticks]:
        """Of all pieces; the list is empty then."""
        rows = Rows.join(parts)
        parts.clear()
        ids, code = self._timeline.names(key_code(rows.key))
        return rows.seq, Ticks(ids, code, key_date(rows.key), rows.price, rows.volume)


def _cut(rows: list[Rows], window: Window, key: Int64, slot: Int64) -> Iterator[tuple[Rows, Window, Int64]]:
    """For each piece its part of the window, and the slots of its keys. key: all distinct ones."""
    begins = np.array([some.key[0] >> 32 << 32 for some in rows[1:]], np.int64)
    borders = (np.searchsorted(ordered, begins).tolist() for ordered in (window.cells.key, key))
    cells, keys = ([slice(*ends) for ends in itertools.pairwise([0, *some, None])] for some in borders)
    for some, of_cells, of_keys in zip(rows, cells, keys, strict=True):
        yield some, window.take(of_cells), slot[of_keys]


def _added(parts: list[dict[int, Superseded]]) -> dict[int, Superseded]:
    total: dict[int, Superseded] = {}
    for part in parts:
        for seq, found in part.items():
            known = total.get(seq, Superseded(0, 0))
            total[seq] = Superseded(
                known.rows + found.rows, known.conflicts + found.conflicts, known.earlier + found.earlier
            )
    return total
