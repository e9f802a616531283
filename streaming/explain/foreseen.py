"""What a drop would do to the tables, by the maths that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streaming.packets import PRICE_CHANGED, RETURN_CHANGED, UNKNOWN_VOLUME, VOLUME_CHANGED, Changes, concat_ids
from streaming.returns.chunks import cell_key
from streaming.returns.history import History

if TYPE_CHECKING:
    import numpy.typing as npt

    from streaming.packets import Float64, Int64, Ticks

    Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a drop would change.

    changes: the cells that would be written, in the order of (ticker, date), the tickers as the tables first named
    them; new: bool [n], the cell does not exist yet; old_price: float64 [n] and old_volume: int64 [n], as they are now
    (NaN and `UNKNOWN_VOLUME` for a new cell); same: how many cells the drop gives as they are already.
    """

    changes: Changes
    new: Bool
    old_price: Float64
    old_volume: Int64
    same: int

    @property
    def changed(self) -> Bool:
        """Cells that exist and would get another price or volume."""
        return ~self.new & (self.changes.changed & (PRICE_CHANGED | VOLUME_CHANGED) > 0)

    @property
    def rewritten(self) -> Bool:
        """Cells that exist and would get another return."""
        return ~self.new & (self.changes.changed & RETURN_CHANGED > 0)


def foresee(present: Ticks, given: Ticks) -> Foreseen:
    """What the ticks of a drop would change.

    present: one tick for each cell that the drop gives, and for the one before and after it of its ticker, as far as
    the tables have them; more do no harm. given: one tick for each (date, id), as `Parsed.ticks` has them.
    """
    history = History(None, _Memory(), chunk_cells=1 << 30)
    history.apply([(1, present)])
    changes = history.apply([(2, given)]).changes
    _, maps = concat_ids([changes.ids, present.ids])
    key = cell_key(maps[0][changes.code], changes.date)
    known = cell_key(maps[1][present.code], present.date)
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known[order], key)
    there = np.zeros(len(key), bool)
    there[at < len(known)] = known[order][at[at < len(known)]] == key[at < len(known)]
    old_price, old_volume = np.full(len(key), np.nan), np.full(len(key), UNKNOWN_VOLUME, np.int64)
    place = order[at[there]]
    old_price[there], old_volume[there] = present.price[place], present.volume[place]
    written = np.count_nonzero(changes.changed & (PRICE_CHANGED | VOLUME_CHANGED))
    return Foreseen(changes, ~there, old_price, old_volume, len(given) - int(written))


class _Memory(dict[int, bytes]):
    """The chunks of a history that lives for one question."""

    def load(self, chunk: int) -> bytes:
        return self[chunk]

    def store(self, chunk: int, data: bytes) -> None:
        self[chunk] = data

    def remove(self, chunk: int) -> None:
        del self[chunk]
