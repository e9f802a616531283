"""The account of a batch: what each of its drops did, against the cells as they were before the drop began.

A drop may be read in several batches. Until it ends, the state remembers what each cell that it has changed held
before it (`Earlier`), and which cells it has brought (`MARK_NEW`). So a later part can take back what an earlier one
has counted, and the sums are those of the drop, wherever it was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streaming.corrections import Corrections, Did
from streaming.distinct import order_of, values_of
from streaming.returns.by_date import count_by_date, sum_of
from streaming.returns.chunks import MARK_NEW, MARK_PRICE, Earlier, key_code, key_date, where

if TYPE_CHECKING:
    from streaming.packets import Dated, Int32, Int64
    from streaming.returns.chunks import Cells
    from streaming.returns.timeline import Timeline
    from streaming.returns.transitions import Transitions
    from streaming.returns.window import Given


class Account(NamedTuple):
    """did: by seq, every drop that gave something; dated: the same by date.

    earlier: to be remembered too; changed: places of the cells that the open drop has changed in this batch.
    """

    did: dict[int, Did]
    dated: Dated
    earlier: Earlier
    changed: Int64


def account(  # noqa: PLR0917 (what was, what came, what it did)
    old: Cells,
    remembered: Earlier,
    given: Given,
    at: Int64,
    met: Transitions,
    tickers: tuple[Timeline, int],
    drops: tuple[int, int | None],
) -> tuple[Account, Corrections]:
    """The account of a batch, and the cells that its drops changed.

    old: the window before it; remembered: of the drop that goes on in it; at: the place of each given cell; met: what
    its drops did; tickers: all, and the number of those that were known before; drops: the first of the batch, and the
    one that goes on.
    """
    timeline, known = tickers
    resumed, open_seq = drops
    born_by_it = (met.seq == resumed) & (old.mark[met.place] & MARK_NEW > 0)
    met = met.take(where(~born_by_it))
    mine = met.seq == resumed
    key = old.key[met.place]
    base = remembered.instead_of(met.before, np.flatnonzero(mine), key)
    gave_before = mine & met.given & (old.mark[met.place] & MARK_PRICE > 0)

    changed, had_changed = base.given_differs(met.after), base.given_differs(met.before)
    tally = _Tally(given.seq)
    new = np.isnan(old.price[at])
    first = given.seq[given.starts][new]
    more = (changed.astype(np.int64) - (gave_before & had_changed))[met.given]
    dated = count_by_date(given, given.starts[new], (met.seq[met.given], key[met.given], more))
    did = tally.did(
        cells_new=tally.count(first),
        cells_changed=tally.count(met.seq[met.given & changed]) - tally.count(met.seq[gave_before & had_changed]),
        cells_same=tally.count(met.seq[met.given & ~changed]) - tally.count(met.seq[gave_before & ~had_changed]),
        returns_rewritten=tally.count(met.seq[base.return_differs(met.after)])
        - tally.count(met.seq[base.return_differs(met.before)]),
        tickers_new=tally.count(_first_of_tickers(key_code(given.key[given.starts][new]), first, known)),
    )
    moved = np.flatnonzero(met.before.given_differs(met.after) | met.before.return_differs(met.after))
    moved = moved[order_of(met.seq[moved], met.place[moved])]  # so the ledger need not sort them
    ids, code = timeline.names(key_code(key[moved]))
    before, after = base.take(moved), met.after.take(moved)
    corrections = Corrections(met.seq[moved], ids, code, key_date(key[moved]), before, after)

    kept = remembered if open_seq == resumed else Earlier.empty()
    of_open = moved[met.seq[moved] == open_seq] if open_seq is not None else moved[:0]
    fresh = of_open[~kept.holds(key[of_open])]
    earlier = Earlier.empty().and_also(key[fresh], met.before.take(fresh))
    return Account(did, dated, earlier, met.place[of_open]), corrections


def joined(parts: list[Account]) -> tuple[dict[int, Did], Dated, Earlier]:
    """What the accounts of different tickers say together."""
    if len(parts) == 1:
        return parts[0][:3]
    did: dict[int, Did] = {}
    for part in parts:
        for seq, of_drop in part.did.items():
            did[seq] = did.get(seq, Did()) + of_drop
    earlier = Earlier.empty()
    for part in parts:
        earlier = earlier.and_also(part.earlier.key, part.earlier.values)
    return dict(sorted(did.items())), sum_of([part.dated for part in parts]), earlier


def _first_of_tickers(code: Int32, seq: Int64, known: int) -> Int64:
    """Of new cells in the order of ticker: for each ticker that was not known, the first seq."""
    code, seq = code[code >= known], seq[code >= known]
    if not len(code):
        return seq
    return np.minimum.reduceat(seq, np.flatnonzero(np.diff(code, prepend=-1)))


class _Tally:
    """Counts by drop, of the drops that a batch has."""

    def __init__(self, seq: Int64) -> None:
        self._drops = values_of(seq)
        self._place = self._drops - self._drops[0]

    def count(self, seq: Int64) -> Int64:
        """How often each drop is there."""
        counted: Int64 = np.bincount(seq - self._drops[0], minlength=self._place[-1] + 1)[self._place]
        return counted

    def did(self, **counts: Int64) -> dict[int, Did]:
        """The counts of each drop."""
        by_drop = zip(*(column.tolist() for column in counts.values()), strict=True)
        return {
            seq: Did(**dict(zip(counts, row, strict=True)))
            for seq, row in zip(self._drops.tolist(), by_drop, strict=True)
        }
