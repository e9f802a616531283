"""What drops have given for one cell, in the order in which it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streaming.packets import UNKNOWN_VOLUME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ticks.located import Located


@dataclass(frozen=True, slots=True)
class GivenValue:
    """A row of a drop. line: of its file, None if it is not known; volume: `UNKNOWN_VOLUME` = none."""

    seq: int
    line: int | None
    price: float
    volume: int


def counting(values: Sequence[GivenValue]) -> tuple[int | None, int | None]:
    """The places of the value whose price counts and of the one whose volume does; None: there is none."""
    price = len(values) - 1 if values else None
    known = [place for place, value in enumerate(values) if value.volume != UNKNOWN_VOLUME]
    return price, known[-1] if known else None


def rows_in_file(seq: int, found: Located, ticker: str, day: int) -> list[GivenValue]:
    """The rows of a drop for a cell, in the order in which they count: of a profile that keeps the first, backwards."""
    rows = found.rows
    if ticker not in rows.ids:
        return []
    at = np.flatnonzero((rows.code == rows.ids.index(ticker)) & (rows.date == day))
    if found.keep_first:
        at = at[::-1]
    columns = (found.lines[at].tolist(), rows.price[at].tolist(), rows.volume[at].tolist())
    return [GivenValue(seq, *row) for row in zip(*columns, strict=True)]


def stands_for(values: Sequence[GivenValue]) -> tuple[float, int] | None:
    """The price and the volume that a drop gives with these rows; None: no rows."""
    price, volume = counting(values)
    if price is None:
        return None
    return values[price].price, UNKNOWN_VOLUME if volume is None else values[volume].volume
