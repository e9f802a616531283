"""What a batch does to some tickers of a bucket: numpy only, no state and no store.

A large batch is worked out in pieces of whole tickers. Each needs a few megabytes that stay in the cache of a core, and
the next one uses the same memory. At once, two million rows took twice the time and four times the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streaming.corrections import Values, bits
from streaming.fingerprint import Fingerprint, of_cells
from streaming.packets import PRICE_CHANGED, RETURN_CHANGED, UNKNOWN_VOLUME, VOLUME_CHANGED, Superseded
from streaming.returns.account import Account, account
from streaming.returns.chunks import MARK_NEW, MARK_PRICE, MARK_VOLUME, Cells, Earlier, key_code, key_date, where
from streaming.returns.transitions import of_drops, of_one_drop
from streaming.returns.window import Given, Rows, Window, returns_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from streaming.corrections import Corrections
    from streaming.packets import Float64, Int8, Int64
    from streaming.returns.timeline import Timeline
    from streaming.returns.window import Bool


class BatchDrops(NamedTuple):
    """The drops of a batch: the first one, which alone may have begun earlier; the last one; the one that goes on."""

    first: int
    last: int
    open: int | None


class Before(NamedTuple):
    """What was before the batch. remembered: of the drop that goes on in it; known: how many tickers there were."""

    timeline: Timeline
    known: int
    remembered: Earlier


@dataclass(frozen=True, slots=True)
class ChangedCells:
    """Cells that differ from before, as they stand: all arrays [n]. changed: uint8, which of the values differ."""

    key: Int64
    price: Float64
    returns: Float64
    volume: Int64
    changed: npt.NDArray[np.uint8]


class Piece(NamedTuple):
    """window: the cells as they are now; written: bool [n], which must be stored; change: of the fingerprint.

    loaded, replaced: as in `history.Applied`, by key.
    """

    window: Window
    written: Bool
    change: Fingerprint
    loaded: Rows
    replaced: Rows
    duplicates: dict[int, Superseded]
    account: Account


def piece_of(  # noqa: PLR0917 (what came, what was)
    given: Given,
    window: Window,
    slot: Int64,
    drops: BatchDrops,
    before: Before,
    takers: tuple[Callable[[ChangedCells], None], Callable[[Corrections], None]],
) -> Piece:
    """What the ticks do to their tickers.

    window: their cells before the batch; slot: of each distinct key; takers: get the cells that differ from before, and
    those that drops changed.
    """
    key, price, volume = given.winners()
    room, at = window.with_room(key, slot)
    old, now = room.cells, room.cells.copy()
    told = volume != UNKNOWN_VOLUME
    now.price[at], now.volume[at[told]] = price, volume[told]
    was, stands = _values(old), Values(now.price, now.volume, returns_of(now))
    take_changes, take_corrections = takers
    changes, written = _changes(now.key, was, stands)
    take_changes(changes)
    replaced = fingerprint_of(before.timeline, old, written & ~np.isnan(old.price))
    change = fingerprint_of(before.timeline, now, written) - replaced

    alone = drops.first == drops.last
    met = of_one_drop(drops.first, was, stands, at) if alone else of_drops(old, given, at)
    tickers = (before.timeline, before.known)
    accounted, changed = account(old, before.remembered, given, at, met, tickers, (drops.first, drops.open))
    take_corrections(changed)
    _mark(now.mark, old, given, at, drops)
    if drops.open is not None:
        written[at[given.cell[given.seq == drops.open]]] = True
    written[accounted.changed] = True
    return Piece(Window(now, room.slot), written, change, *_loaded(given, old, at, drops.first), account=accounted)


def _values(cells: Cells) -> Values:
    """What the cells hold; a cell that is not there has no return, and is passed over by the next one."""
    returns, there = np.full(len(cells.key), np.nan), np.flatnonzero(~np.isnan(cells.price))
    returns[there] = returns_of(cells.take(there))
    return Values(cells.price, cells.volume, returns)


def _changes(key: Int64, was: Values, stands: Values) -> tuple[ChangedCells, Bool]:
    """The cells that differ; and for each cell, whether its price or volume does."""
    changed = np.where(bits(was.price) != bits(stands.price), PRICE_CHANGED, 0)
    changed |= np.where(was.return_differs(stands), RETURN_CHANGED, 0)
    changed |= np.where(was.volume != stands.volume, VOLUME_CHANGED, 0)
    some = where(changed > 0)
    price, volume, returns = stands.take(some)
    changes = ChangedCells(key[some], price, returns, volume, changed[some].astype(np.uint8))
    return changes, changed & (PRICE_CHANGED | VOLUME_CHANGED) > 0


def fingerprint_of(timeline: Timeline, cells: Cells, chosen: Bool) -> Fingerprint:
    """Of the chosen cells; each has a price."""
    some = where(chosen)
    ids, code = timeline.names(key_code(cells.key[some]))
    return of_cells(ids, code, key_date(cells.key[some]), cells.price[some], cells.volume[some])


def _loaded(given: Given, old: Cells, at: Int64, first: int) -> tuple[Rows, Rows, dict[int, Superseded]]:
    """The ticks that count, the replaced ones, the duplicates: with what the first drop gave in earlier batches."""
    mark = np.where(given.seq == first, old.mark[at[given.cell]], 0)
    before = old.take(at[given.cell])
    known = mark & MARK_VOLUME > 0
    volume = np.where((given.volume == UNKNOWN_VOLUME) & known, before.volume, given.volume)
    duplicates, again = dict(given.superseded), np.flatnonzero(mark)
    replaced = given.replaced
    if len(again):
        gave = np.where(known, before.volume, UNKNOWN_VOLUME)[again]
        conflicts = given.conflicts(first, again, before.price[again], gave)
        here = duplicates.get(first, Superseded(0, 0))
        duplicates[first] = Superseded(here.rows + len(again), conflicts, len(again))
        replaced = Rows(given.seq[again], given.key[again], before.price[again], gave).and_also(replaced)
    return Rows(given.seq, given.key, given.price, volume), replaced, duplicates


def _mark(mark: Int8, old: Cells, given: Given, at: Int64, drops: BatchDrops) -> None:
    """Marks what the open drop has given, and which cells were not there before it. mark: of the cells of `old`."""
    if drops.open != drops.first:  # else the marks from earlier batches are its own
        mark[:] = 0
    if drops.open is None:
        return
    opened = np.flatnonzero(given.seq == drops.open)
    gave = np.where(given.volume[opened] == UNKNOWN_VOLUME, MARK_PRICE, MARK_PRICE | MARK_VOLUME)
    mark[at[given.cell[opened]]] |= gave.astype(np.uint8)
    brought = np.isnan(old.price[at]) & (given.seq[given.starts] == drops.open)
    mark[at[brought]] |= MARK_NEW
