"""The index of one bucket's price history: its tickers, the last two prices of each, and which chunk holds what.

Chunks cover disjoint ranges of dates, in order. A chunk is named by its slot (its place in that order) while a batch
is applied and by its number in the store. For each chunk the index knows which tickers have a cell in it (one bit
each), so that the neighbour of a date is found with one load, however far away it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streaming.distinct import distinct
from streaming.fingerprint import NOTHING, Fingerprint
from streaming.returns.chunks import (
    broken,
    cell_key,
    freeze,
    key_code,
    key_date,
    packed_cells,
    thaw,
    unpacked_cells,
)
from streaming.returns.packing import DTYPES, packed, packed_steps, unpacked, unpacked_steps

if TYPE_CHECKING:
    from streaming.packets import Float64, Int8, Int32, Int64
    from streaming.returns.chunks import Cells

NEVER = np.iinfo(np.int32).min
FAN = 8  # this many trailing chunks of one level become one of the next

ROW = np.dtype([("number", "<i8"), ("first", "<i4"), ("last", "<i4"), ("cells", "<i8"), ("level", "u1")])
_PLAIN_DTYPES = ("u1", "<i8", "<i4", "<f8", "<i4", "<f8", "<i8", "<i4", "<i4", "<i8", "u1", "u1")
_PLAIN_FORMATS = {1: _PLAIN_DTYPES, 2: (*_PLAIN_DTYPES, "<i8")}  # 1: without the fingerprint
FORMAT = 3
_FORMATS = _PLAIN_FORMATS | {FORMAT: ("u1", "<i8", *DTYPES * 3, *DTYPES * 5, "u1", "<i8")}
_WHERE = "index of the price history"
_STEADY = {"number", "first", "last"}  # of a chunk: they grow from one to the next
_PACK = {name: packed_steps if name in _STEADY else packed for name in ROW.names or ()}
_UNPACK = {name: unpacked_steps if name in _STEADY else unpacked for name in ROW.names or ()}


@dataclass(slots=True)
class Timeline:
    """What is known of a bucket without reading a chunk.

    codes: ticker to code, in order of first appearance; last_date, earlier_date: int32 [tickers], the newest and the
    second newest date of each, `NEVER` if there is none; last_price, earlier_price: float64 [tickers]; chunks: `ROW`
    [slots]; held: uint8 [slots, tickers / 8], bit `code % 8` of byte `code // 8`; next_number: the next chunk's;
    fingerprint: of all cells, None if an older stocketl has written the index.
    """

    codes: dict[str, int]
    last_date: Int32
    last_price: Float64
    earlier_date: Int32
    earlier_price: Float64
    chunks: npt.NDArray[np.void]
    held: Int8
    next_number: int
    fingerprint: Fingerprint | None

    @classmethod
    def empty(cls) -> Timeline:
        """No tickers, no chunks."""
        dates, prices = np.empty(0, np.int32), np.empty(0, np.float64)
        return cls({}, dates, prices, dates, prices, np.empty(0, ROW), np.empty((0, 0), np.uint8), 0, NOTHING)

    def to_bytes(self) -> bytes:
        """One frame."""
        ids = np.frombuffer(json.dumps(list(self.codes)).encode(), np.uint8)
        code = np.repeat(np.arange(len(self.last_date)), 2)
        date = np.column_stack([self.earlier_date, self.last_date]).reshape(-1)
        price = np.column_stack([self.earlier_price, self.last_price]).reshape(-1)
        there = np.flatnonzero(date != NEVER)
        cells = packed_cells(cell_key(code[there], date[there]), price[there])
        of_chunks = [column for name in ROW.names or () for column in _PACK[name](self.chunks[name])]
        known = self.fingerprint
        fingerprint = np.array([] if known is None else [known.cells, known.sum], np.int64)
        columns = (ids, np.array([self.next_number]), *cells, *of_chunks, self.held.reshape(-1), fingerprint)
        return freeze(b"I", FORMAT, columns)

    @classmethod
    def from_bytes(cls, data: bytes) -> Timeline:
        """The inverse of `to_bytes`.

        Raises:
            CheckpointError: the bytes are not a whole index of this format.
        """
        version, columns = thaw(b"I", data, _FORMATS, _WHERE)
        codes = {ticker: code for code, ticker in enumerate(json.loads(columns[0].tobytes()))}
        if version in _PLAIN_FORMATS:
            last_date, last_price, earlier_date, earlier_price = (column.copy() for column in columns[2:6])
            of_chunks, (held, *fingerprint) = columns[6:11], columns[11:]
        else:
            pairs = list(zip(columns[2:18:2], columns[3:18:2], strict=True))
            last_date, last_price, earlier_date, earlier_price = _last_two(*unpacked_cells(*pairs[:3]), len(codes))
            of_chunks = [_UNPACK[name](*pair) for name, pair in zip(ROW.names or (), pairs[3:], strict=True)]
            held, *fingerprint = columns[18:]
        chunks = np.empty(len(of_chunks[0]), ROW)
        for name, column in zip(ROW.names or (), of_chunks, strict=True):
            chunks[name] = column
        width = (len(codes) + 7) // 8
        if len(held) != width * len(chunks) or len(last_date) != len(codes):
            raise broken(_WHERE, f"{len(codes)} tickers and {len(chunks)} chunks", f"{len(held)} bytes of presence")
        known = [int(figure) for column in fingerprint for figure in column]
        return cls(
            codes,
            last_date,
            last_price,
            earlier_date,
            earlier_price,
            chunks,
            held.reshape(len(chunks), width),
            int(columns[1][0]),
            Fingerprint(*known) if known else None,
        )

    def register(self, ids: list[str]) -> Int32:
        """The codes of the tickers. New tickers get the next ones."""
        codes = self.codes
        return np.fromiter((codes.setdefault(ticker, len(codes)) for ticker in ids), np.int32, len(ids))

    def widen(self) -> None:
        """Makes room for the tickers registered since the last call."""
        new = len(self.codes) - len(self.last_date)
        if not new:
            return
        never, nothing = np.full(new, NEVER, np.int32), np.full(new, np.nan)
        self.last_date = np.concatenate([self.last_date, never])
        self.last_price = np.concatenate([self.last_price, nothing])
        self.earlier_date = np.concatenate([self.earlier_date, never])
        self.earlier_price = np.concatenate([self.earlier_price, nothing])
        more = (len(self.codes) + 7) // 8 - self.held.shape[1]
        self.held = np.pad(self.held, ((0, 0), (0, more)))

    def locate(self, date: Int32) -> Int64:
        """The slot in which each date belongs; `len(chunks)`: it is newer than all chunks.

        A date between two chunks belongs to the smaller one, which is the cheaper one to rewrite.
        """
        at = np.searchsorted(self.chunks["first"], date, side="right") - 1
        sizes = np.concatenate([[np.iinfo(np.int64).max], self.chunks["cells"], [-1]])
        ends = np.concatenate([[NEVER], self.chunks["last"]])
        return np.where((date > ends[at + 1]) & (sizes[at + 2] < sizes[at + 1]) | (at < 0), at + 1, at)

    def slot_before(self, code: Int32, slot: Int64) -> Int64:
        """The nearest older slot that holds a cell of the ticker; -1: none does."""
        held, column = self._held_by(code)
        newest = np.maximum.accumulate(np.where(held, np.arange(len(held))[:, None], -1), axis=0)
        return np.where(slot > 0, newest[slot - 1, column], -1)

    def slot_after(self, code: Int32, slot: Int64) -> Int64:
        """The nearest newer slot that holds a cell of the ticker; -1: none does."""
        held, column = self._held_by(code)
        backwards = np.where(held, np.arange(len(held))[:, None], len(held))[::-1]
        oldest = np.minimum.accumulate(backwards, axis=0)[::-1]
        found = oldest[np.minimum(slot + 1, len(held) - 1), column]
        return np.where((slot + 1 < len(held)) & (found < len(held)), found, -1)

    def merge_from(self, cells: int, limit: int) -> tuple[int, int]:
        """Where a new chunk of so many cells begins: the first slot that is to be merged into it, and its level.

        `FAN` trailing chunks of one level become one of the next level, or fewer if they fill half a chunk; a
        chunk that is half full is left alone for ever. So a cell is rewritten once a level, and the number of
        chunks stays below twice what the cells need, and `FAN` a level.
        """
        sizes, levels = self.chunks["cells"].tolist(), self.chunks["level"].tolist()
        start, level = len(sizes), 0
        while 2 * cells < limit:
            run, together = start, cells
            while run and levels[run - 1] <= level and 2 * sizes[run - 1] < limit:
                run -= 1
                together += sizes[run]
            if run == start or (start - run + 1 < FAN and 2 * together < limit):
                break
            start, cells, level = run, together, level + 1
        return start, level

    def replace(self, keep: npt.NDArray[np.bool_], rows: npt.NDArray[np.void], held: Int8) -> None:
        """Puts new rows in the place of those that are not kept."""
        chunks, bits = np.concatenate([self.chunks[keep], rows]), np.concatenate([self.held[keep], held])
        order = np.argsort(chunks["first"])
        self.chunks, self.held = chunks[order], bits[order]

    def names(self, code: Int32) -> tuple[list[str], Int32]:
        """The distinct tickers among the codes, and each code as a place in them."""
        ids = list(self.codes)
        used, place = distinct(code)
        return [ids[ticker] for ticker in used.tolist()], place.astype(np.int32)

    def remember(self, cells: Cells, touched: Int32) -> None:
        """Takes the last two prices of the touched tickers from cells that include them."""
        code, date = key_code(cells.key), key_date(cells.key)
        end = np.searchsorted(code, touched, side="right") - 1
        self.last_date[touched], self.last_price[touched] = date[end], cells.price[end]
        two = (end > 0) & (code[end - 1] == touched)
        touched, end = touched[two], end[two] - 1
        self.earlier_date[touched], self.earlier_price[touched] = date[end], cells.price[end]

    def take_number(self) -> int:
        """A number that no chunk has had."""
        self.next_number += 1
        return self.next_number - 1

    def _held_by(self, code: Int32) -> tuple[npt.NDArray[np.bool_], Int64]:
        tickers, column = distinct(code)
        return (self.held[:, tickers >> 3] >> (tickers & 7).astype(np.uint8) & 1).astype(bool), column


def _last_two(key: Int64, price: Float64, tickers: int) -> tuple[Int32, Float64, Int32, Float64]:
    """Last date and price, earlier date and price of each ticker; the keys ascend, at most two for each ticker."""
    code, date = key_code(key), key_date(key)
    is_last = np.diff(code, append=-1) != 0
    dates, prices = np.full((2, tickers), NEVER, np.int32), np.full((2, tickers), np.nan)
    for row, some in enumerate((np.flatnonzero(is_last), np.flatnonzero(~is_last))):
        dates[row, code[some]], prices[row, code[some]] = date[some], price[some]
    return dates[0], prices[0], dates[1], prices[1]
