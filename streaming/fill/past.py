"""The drops of the lake once more, in the order of seq, through the same maths as in the job.

The lake has a row for each (drop, date, id) that was loaded. That is all that the tables depend on, so what each drop
did can be worked out at any time. It takes neither Spark nor the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from streaming.distinct import distinct
from streaming.errors import StockETLError
from streaming.lake.reading import read_rows
from streaming.lake.rows import TICKS
from streaming.packets import UNKNOWN_VOLUME, Ticks
from streaming.returns.history import History
from streaming.screen import many

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from streaming.corrections import Did
    from streaming.packets import Dated

_ROWS_AT_ONCE = 1_000_000
_CHUNK_CELLS = 1 << 16


@dataclass(frozen=True, slots=True)
class EndedDrop:
    """A drop of the ledger that has ended: its seq and key, and how many rows the lake must have of it."""

    seq: int
    key: str
    rows: int


@dataclass(frozen=True, slots=True)
class PastStretch:
    """Some drops in a row, and what they did.

    corrections: with the columns of `corrections.SCHEMA`; dated: what they did on each date; is_last: whether these are
    the last drops of the past.
    """

    seqs: list[int]
    did: dict[int, Did]
    corrections: pa.Table
    dated: Dated
    is_last: bool


class Past:
    """What the drops did, worked out from the ticks of the lake.

    drops: all that have ended, from the first one on, in the order of seq.

    Raises:
        StockETLError: the lake lacks rows of one of them, and everything after it would be wrong.
    """

    def __init__(self, lake: str, drops: Sequence[EndedDrop]) -> None:
        self._lake = lake
        self._drops = drops
        self._refuse_gaps()

    def stretches(self) -> Iterator[PastStretch]:
        """Stretch by stretch, from the first drop to the last."""
        history = History(None, _Chunks(), chunk_cells=_CHUNK_CELLS)
        for drops in self._cut():
            first, last = drops[0].seq, drops[-1].seq
            rows = read_rows(self._lake, TICKS, where=(pc.field("seq") >= first) & (pc.field("seq") <= last))
            applied = history.apply(_packets(rows))
            yield PastStretch(
                [drop.seq for drop in drops],
                applied.did,
                applied.corrections.to_table(),
                applied.dated,
                is_last=last == self._drops[-1].seq,
            )

    def _cut(self) -> Iterator[list[EndedDrop]]:
        """Drops that are worked out together, so that a stretch fits into memory."""
        some: list[EndedDrop] = []
        rows = 0
        for drop in self._drops:
            rows += drop.rows
            if some and rows > _ROWS_AT_ONCE:
                yield some
                some, rows = [], drop.rows
            some.append(drop)
        if some:
            yield some

    def _refuse_gaps(self) -> None:
        counted = pc.value_counts(read_rows(self._lake, TICKS, columns=["seq"])["seq"]).to_pylist()
        there = {found["values"]: found["counts"] for found in counted}
        gaps = [drop for drop in self._drops if there.get(drop.seq, 0) != drop.rows]
        if gaps:
            first = gaps[0]
            msg = (
                f"the lake {self._lake} does not reach back to the first drop, or not up to the last one yet: of "
                f"{many(len(gaps), 'drop')} it has other rows than were loaded, first of drop {first.seq} "
                f"({first.key!r}): expected {first.rows:,}, got {there.get(first.seq, 0):,}. Each drop is worked out "
                "from all that came before it, so nothing was written. If the newest drops are missing, the lake is "
                "some seconds behind: try again. Else `stocketl rebuild` loads all files anew and fills everything"
            )
            raise StockETLError(msg)


class _Chunks(dict[int, bytes]):
    """The history in memory, packed."""

    def load(self, chunk: int) -> bytes:
        return self[chunk]

    def store(self, chunk: int, data: bytes) -> None:
        self[chunk] = data

    def remove(self, chunk: int) -> None:
        del self[chunk]


def _packets(rows: pa.Table) -> list[tuple[int, Ticks]]:
    """One packet a drop, in the order of seq."""
    rows = rows.sort_by("seq")
    ids = rows["id"].combine_chunks().dictionary_encode()
    names, code = ids.dictionary.to_pylist(), ids.indices.to_numpy()
    date = rows["date"].cast("int32").to_numpy()
    price = rows["price"].to_numpy()
    volume = pc.fill_null(rows["volume"], UNKNOWN_VOLUME).to_numpy()
    seqs, which = distinct(rows["seq"].to_numpy())
    ends = np.cumsum(np.bincount(which, minlength=len(seqs))).tolist()
    return [
        (seq, Ticks(names, code[begin:end], date[begin:end], price[begin:end], volume[begin:end]))
        for seq, begin, end in zip(seqs.tolist(), [0, *ends], ends, strict=False)
    ]
