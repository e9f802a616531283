"""The chunks of one bucket's history, read into a window and written back from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.distinct import distinct
from streaming.packets import UNKNOWN_VOLUME
from streaming.returns.chunks import (
    Cells,
    Earlier,
    broken,
    cell_key,
    decode_chunk,
    encode_chunk,
    key_code,
    key_date,
    where,
)
from streaming.returns.timeline import NEVER, ROW, Timeline
from streaming.returns.window import Window, cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.packets import Int32, Int64
    from streaming.returns.chunks import ChunkStore
    from streaming.returns.window import Bool

_NO_DROP = -1  # the marks of no drop
_INDEX_ONLY = -1  # the slot of cells that the index remembers; they are never written


class Shelf:
    """The chunks in `store`, none of them above `limit` cells unless it is a single date, and their `timeline`.

    earlier: what `open` has found in the chunks of the cells before the drop that goes on.
    """

    def __init__(self, timeline: Timeline, store: ChunkStore, limit: int) -> None:
        self._timeline = timeline
        self._store = store
        self._limit = limit
        self.earlier = Earlier.empty()

    def open(self, key: Int64, resumed: int) -> tuple[Window, Int64, tuple[int, int]]:
        """The cells of the keys with the ones before and after each, among others; marks are those of drop `resumed`.

        Also the slot in which each key belongs, and what `write` needs: from which slot on the chunks (they are in the
        window) are to be merged with the keys newer than all chunks, and the level of the result.
        """
        timeline, count = self._timeline, len(self._timeline.chunks)
        slot = timeline.locate(key_date(key))
        merge = timeline.merge_from(int(np.count_nonzero(slot == count)), self._limit)
        wanted = np.zeros(count + 1, bool)  # the last one stands for no chunk, here and below
        wanted[slot] = True
        wanted[merge[0] :] = True
        window = Window.join([self._load(at, resumed) for at in np.flatnonzero(wanted[:count]).tolist()])

        code, date = key_code(key), key_date(key)
        older, newer = window.neighbours(key, slot)
        # The index has the last two prices; nothing comes before the first date or after the last.
        before, after = ~older & (date <= timeline.earlier_date[code]), ~newer & (date < timeline.last_date[code])
        far = np.zeros(count + 1, bool)
        far[timeline.slot_before(code[before], slot[before])] = True
        far[timeline.slot_after(code[after], slot[after])] = True
        far &= ~wanted
        window = Window.join([window, *(self._load(at, resumed) for at in np.flatnonzero(far[:count]).tolist())])
        return Window.join([window, *self._remembered(distinct(code)[0], window)]), slot, merge

    def write(
        self, window: Window, written: Bool, merge: tuple[int, int], open_seq: int | None, earlier: Earlier
    ) -> None:
        """Stores the chunks that have a written cell. Merges those to be merged into one, and cuts what is too large.

        If there is an open drop, the marks in the window and `earlier` belong to it and are kept.
        """
        timeline, count, (start, level) = self._timeline, len(self._timeline.chunks), merge
        dirty = np.zeros(count + 2, bool)  # the last two: cells newer than all chunks, cells only in the index
        dirty[window.slot[written]] = True
        if not dirty.any():
            return
        dirty[start:count] = True
        window = window.take(where(dirty[window.slot]))
        cells, slots = window.cells, np.minimum(window.slot, start)
        first_dates, homes, piece = self._pieces(key_date(cells.key), slots)
        order = np.argsort(piece.astype(np.min_scalar_type(len(homes))), kind="stable")  # radix sort if small
        ends = np.cumsum(np.bincount(piece, minlength=len(homes))).tolist()

        rows, held = np.empty(len(homes), ROW), np.zeros((len(homes), timeline.held.shape[1] * 8), bool)
        removed = set(timeline.chunks["number"][dirty[:count]].tolist())
        for at, (begin, end, home) in enumerate(zip([0, *ends], ends, homes, strict=False)):
            chunk = cells.take(order[begin:end])
            continues = home < count and (at == 0 or homes[at - 1] != home)
            number = int(timeline.chunks["number"][home]) if continues else timeline.take_number()
            self._store.store(number, encode_chunk(chunk, open_seq, earlier))
            removed.discard(number)
            last = int(key_date(chunk.key).max())
            rows[at] = (
                number,
                first_dates[at],
                last,
                end - begin,
                level if home == start else timeline.chunks["level"][home],
            )
            held[at, key_code(chunk.key)] = True
        for number in sorted(removed):
            self._store.remove(number)
        timeline.replace(~dirty[:count], rows, np.packbits(held, axis=1, bitorder="little"))

    def every_cell(self) -> Iterator[Cells]:
        """The cells of each chunk."""
        for slot in range(len(self._timeline.chunks)):
            yield self._load(slot, _NO_DROP).cells

    def _pieces(self, date: Int32, slot: Int64) -> tuple[list[int], list[int], Int64]:
        """Cuts cells into chunks: the first date and the slot of each chunk, and the chunk of each cell."""
        earliest = int(date.min())
        counts = np.bincount(date - earliest)
        slot_of = np.zeros(len(counts), np.int64)
        slot_of[date - earliest] = slot
        days = np.flatnonzero(counts)
        begins = days[cut(counts[days], slot_of[days], self._limit)]
        piece = np.searchsorted(begins, date - earliest, side="right") - 1
        return (begins + earliest).tolist(), slot_of[begins].tolist(), piece

    def _load(self, slot: int, resumed: int) -> Window:
        row = self._timeline.chunks[slot]
        where = f"chunk {row['number']} of the price history"
        cells, earlier = decode_chunk(self._store.load(int(row["number"])), resumed, where)
        self.earlier = self.earlier.and_also(earlier.key, earlier.values)
        date = key_date(cells.key)
        found = (len(date), *((int(date.min()), int(date.max())) if len(date) else (NEVER, NEVER)))
        expected = (int(row["cells"]), int(row["first"]), int(row["last"]))
        if found != expected:
            raise broken(where, f"(cells, first date, last date) {expected}", f"{found}")
        return Window(cells, np.full(len(date), slot))

    def _remembered(self, code: Int32, window: Window) -> list[Window]:
        """The last two prices of the tickers that the window does not have, as cells without volume."""
        timeline, parts = self._timeline, []
        for dates, prices in (
            (timeline.earlier_date[code], timeline.earlier_price[code]),
            (timeline.last_date[code], timeline.last_price[code]),
        ):
            key = cell_key(code, dates)
            missing = (dates != NEVER) & ~window.holds(key)
            n = np.count_nonzero(missing)
            cells = Cells(key[missing], prices[missing], np.full(n, UNKNOWN_VOLUME), np.zeros(n, np.uint8))
            parts.append(Window(cells, np.full(n, _INDEX_ONLY)))
        return parts
