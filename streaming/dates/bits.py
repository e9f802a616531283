"""What a batch changes in the rows of `stocketl.date_facts`: numpy only.

A row holds, for each ticker, whether it has a price on that date, and whether that price is the one of its date before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streaming.distinct import distinct, order_of
from streaming.packets import Dated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.packets import Changes, Float64, Int32, Int64

NEVER = np.iinfo(np.int32).min
_CELLS_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True)
class DropCounts:
    """What drops did, by date, ascending.

    drops: how many gave rows of the date and were not counted yet, from first_seq to last_seq; late: cells that came
    after a later date had; restated: cells that were given another price or volume.
    """

    date: Int32
    drops: Int64
    first_seq: Int64
    last_seq: Int64
    late: Int64
    restated: Int64


def joined(parts: list[Dated]) -> Dated:
    """What the drops of a batch did, by distinct (seq, date) in that order, over all buckets."""
    seq = np.concatenate([np.empty(0, np.int64), *(part.seq for part in parts)])
    date = np.concatenate([np.empty(0, np.int32), *(part.date for part in parts)])
    order = order_of(seq, date)
    begins = np.flatnonzero((np.diff(seq[order], prepend=-1) != 0) | (np.diff(date[order], prepend=NEVER) != 0))
    sums = (
        np.add.reduceat(np.concatenate([getattr(part, name) for part in parts])[order], begins).astype(np.int32)
        if len(begins)
        else np.empty(0, np.int32)
        for name in ("new", "restated")
    )
    return Dated(seq[order][begins], date[order][begins], *sums)


def count_drops(dated: Dated, newest: tuple[int, int], counted: dict[int, int]) -> DropCounts:
    """What the drops of a batch add to the counts of each date.

    newest: the latest date that a drop before the first one of the batch had given first, and the same with that drop
    (it may have begun in an earlier batch); counted: by date, the last drop that was counted so far.

    A cell is late if an earlier drop had given a later date: so it does not matter how drops are put into batches.
    """
    seqs, starts = np.unique(dated.seq, return_index=True)
    latest = np.maximum.reduceat(dated.date, starts) if len(starts) else dated.date
    before = np.maximum.accumulate(np.concatenate([[newest[1]], latest.astype(np.int64)]))[: len(seqs)]
    before[:1] = newest[0]
    late = np.where(dated.date < np.repeat(before, np.diff(starts, append=len(dated))), dated.new, 0)
    dates, place = distinct(dated.date)
    last = np.array([counted.get(date, -1) for date in dates.tolist()], np.int64)
    more = np.bincount(place[dated.seq > last[place]], minlength=len(dates))
    first_seq, last_seq = np.full(len(dates), np.iinfo(np.int64).max), np.full(len(dates), -1)
    np.minimum.at(first_seq, place, dated.seq)
    np.maximum.at(last_seq, place, dated.seq)
    sums = [np.bincount(place, some, minlength=len(dates)).astype(np.int64) for some in (late, dated.restated)]
    return DropCounts(dates, more, first_seq, last_seq, *sums)


@dataclass(frozen=True, slots=True)
class DateBits:
    """Some dates, ascending: a byte 0 or 1 for each ticker, uint8 [dates, width]."""

    date: Int32
    priced: npt.NDArray[np.uint8]
    unchanged: npt.NDArray[np.uint8]

    @classmethod
    def of_texts(cls, date: Int32, width: int, known: dict[int, tuple[str, str]]) -> DateBits:
        """known: by date, the two bit strings as PostgreSQL prints them."""
        bits = cls(date, *(np.zeros((len(date), width), np.uint8) for _ in range(2)))
        for row, day in enumerate(date.tolist()):
            for column, text in zip((bits.priced, bits.unchanged), known.get(day, ("", "")), strict=True):
                column[row, : len(text)] = np.frombuffer(text.encode(), np.uint8) - ord("0")
        return bits

    def take_in(self, row: Int64, bit: Int32 | Int64, returns: Float64) -> None:
        """Cells as they stand now, each with a price."""
        self.priced[row, bit] = 1
        self.unchanged[row, bit] = returns == 0

    def texts(self) -> Iterator[tuple[int, int, int, str, str]]:
        """Of each row the date, both counts and both bit strings; a bit string ends with its last 1."""
        counts = zip(self.priced.sum(axis=1).tolist(), self.unchanged.sum(axis=1).tolist(), strict=True)
        for row, (date, (priced, unchanged)) in enumerate(zip(self.date.tolist(), counts, strict=True)):
            yield date, priced, unchanged, _text(self.priced[row]), _text(self.unchanged[row])


def pieces(date: Int32, width: int) -> Iterator[Int32]:
    """Ascending dates, so many at once that their bits are a few megabytes."""
    step = max(1, _CELLS_AT_ONCE // max(width, 1))
    for start in range(0, len(date), step):
        yield date[start : start + step]


def cells_of(changes: Changes, dates: Int32) -> tuple[Int64, Int64]:
    """The places of the changed cells on these dates, and the row of each."""
    first, last = int(dates[0]), int(dates[-1])
    row_of = np.zeros(last - first + 1, np.int64)
    row_of[dates - first] = np.arange(len(dates))
    at = np.flatnonzero((changes.date >= first) & (changes.date <= last))
    return at, row_of[changes.date[at] - first]


def _text(bits: npt.NDArray[np.uint8]) -> str:
    """As PostgreSQL reads a bit string."""
    return (bits + ord("0")).tobytes().decode().rstrip("0")
