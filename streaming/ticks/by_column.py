"""The columnar path: a block of whole lines → columns of ticks, and which lines they are.

Arrow reads the lines whose structure is beyond doubt, and numpy takes the rows whose fields are; every other line goes
one by one through `by_line.judge`. Measured (2 cores, date,id,price,volume): 0.2-0.3 µs a row here, 3 µs there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from streaming.ticks.by_value import BAD, codes, dates, wanted
from streaming.ticks.fields import BLANKS, MAX_LINE, MAX_PRICE, MIN_PRICE
from streaming.ticks.number_columns import prices, volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from streaming.packets import Float64, Int32, Int64
    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules

SMALL_BLOCK = 1024
"""Bytes of the largest block that goes line by line as a whole: Arrow needs 1 ms for a row or for 400, a line 8 µs."""

_WIDEST = 100  # columns; RE2's program grows with them, and wider rows are few


@dataclass(slots=True)
class Columns:
    """Good rows of one block: line in the block, ticker code, day, price, volume."""

    line: Int64
    code: Int32
    date: Int32
    price: Float64
    volume: Int64

    @classmethod
    def empty(cls) -> Columns:
        """No rows."""
        i64, i32, f64 = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float64)
        return cls(i64, i32, i32, f64, i64)

    def take(self, rows: Int64 | npt.NDArray[np.bool_]) -> Columns:
        """Some of them, by their places or by a mask."""
        return Columns(*(getattr(self, name)[rows] for name in Columns.__slots__))

    def merged(self, late: Columns) -> Columns:
        """Both in the order of their lines."""
        order = np.argsort(np.concatenate([self.line, late.line]))
        pairs = ((getattr(self, name), getattr(late, name)) for name in Columns.__slots__)
        return Columns(*(np.concatenate(pair)[order] for pair in pairs))


@dataclass(frozen=True, slots=True)
class Certain:
    """The rows that need no second look; passed_over: lines that the profile does not want; timed: as `Tick` says."""

    rows: Columns
    passed_over: Int64
    timed: bool


def certain(block: bytes, starts: Int32, layout: Layout, rules: Rules, code: Callable[[str], int]) -> Certain:
    """By far the most. code: of a ticker's text, `BAD` for none."""
    nothing = Certain(Columns.empty(), np.empty(0, np.int64), timed=False)
    if len(block) <= SMALL_BLOCK or layout.wide:
        return nothing
    lines = np.arange(len(starts) - 1)
    table = _arrow_table(lines, starts, block, layout) if _is_simple(block, starts) else None
    if table is None:
        lines = _plain_lines(block, starts, layout, strict=rules.before)
        table = _arrow_table(lines, starts, block, layout)
    if table is None:
        return nothing
    found = _judged(table, lines, layout, rules, code)
    return replace(found, passed_over=_without_blank(found.passed_over, block, starts, layout))


def _without_blank(lines: Int64, block: bytes, starts: Int32, layout: Layout) -> Int64:
    """Lines of nothing but delimiters are blank if the delimiter is: then no row is passed over."""
    if layout.delimiter not in BLANKS or not len(lines):
        return lines
    first = np.frombuffer(block, np.uint8)[starts[lines]]
    doubtful = np.flatnonzero((first <= ord(" ")) | (first > ord("~")))
    texts = (block[starts[line] : starts[line + 1]].decode(errors="surrogateescape") for line in lines[doubtful])
    blank = [not text.removesuffix("\n").removesuffix("\r").strip(BLANKS) for text in texts]
    return np.delete(lines, doubtful[np.array(blank, np.bool_)])


def _judged(table: pa.RecordBatch, lines: Int64, layout: Layout, rules: Rules, code: Callable[[str], int]) -> Certain:
    chosen = wanted(table, layout)
    passed_over = np.empty(0, np.int64)
    if chosen is not None:
        passed_over = lines[~chosen]
        table, lines = table.filter(pa.array(chosen)), lines[chosen]
    day, ticker, close, size = (None if place is None else table.column(str(place)) for place in layout.columns)
    date, timed = dates(day, len(table), rules)
    columns = Columns(
        lines, codes(ticker, len(table), rules, code), date, prices(close, rules), volumes(size, len(table), rules)
    )
    price = columns.price
    good = (date != BAD) & (columns.code != BAD) & (price >= MIN_PRICE) & (price <= MAX_PRICE) & (columns.volume != BAD)
    if good.all():
        return Certain(columns, passed_over, timed is not None and bool(timed.any()))
    return Certain(columns.take(good), passed_over, timed is not None and bool(timed[good].any()))


def line_starts(block: bytes) -> Int32:
    """Offset of each line, and the end of the block."""
    newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
    lines = len(newlines) + (not block.endswith(b"\n") and bool(block))
    starts = np.zeros(lines + 1, np.int32)
    starts[1 : len(newlines) + 1] = newlines + 1
    starts[-1] = len(block)
    return starts


def _binary(block: bytes, starts: Int32) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, [None, pa.py_buffer(starts), pa.py_buffer(block)])


def _plain_lines(block: bytes, starts: Int32, layout: Layout, *, strict: bool) -> Int64:
    """Indexes of the lines that have the right number of fields, beyond doubt.

    A field is bare or quoted from end to end, with no quote and no control character inside: Arrow, RFC 4180 and
    `by_line.judge` read such a line alike. If a block is not UTF-8, what is read of a line must be ASCII; strict: all.
    """
    if layout.width > _WIDEST:
        return np.empty(0, np.int64)
    end = f"\\x{ord(layout.delimiter):02x}"
    any_text = rf'(?:"[^"\x00-\x08\x0a-\x1f\x7f]*"|[^"{end}\x00-\x08\x0a-\x1f\x7f]*)'
    ascii_text = rf'(?:"[^"\x00-\x08\x0a-\x1f\x7f-\xff]*"|[^"{end}\x00-\x08\x0a-\x1f\x7f-\xff]*)'
    doubtful = () if _is_utf8(block) else range(layout.width) if strict else _read_places(layout)
    fields = end.join(ascii_text if place in doubtful else any_text for place in range(layout.width))
    plain = pc.match_substring_regex(_binary(block, starts), rf"^{fields}\r?\n?$").to_numpy(zero_copy_only=False)
    return np.flatnonzero(plain & (np.diff(starts) <= MAX_LINE))


def _read_places(layout: Layout) -> list[int]:
    """The columns that are looked at."""
    return [place for place in (*layout.columns, *(place for place, _ in layout.where)) if place is not None]


def _is_simple(block: bytes, starts: Int32) -> bool:
    """Whether Arrow reads every line as `by_line.judge` does, or finds that a line has other than its number of fields.

    Nothing in the block is special: a tenth of what the pattern costs a line. One byte is looked for at once; what
    counts bytes or looks for two takes five times as long.
    """
    if b'"' in block or b"\x7f" in block or not _is_utf8(block) or np.diff(starts).max() > MAX_LINE:
        return False
    controls = np.count_nonzero(np.frombuffer(block, np.uint8) < 32)
    ends = len(starts) - 2 + block.endswith(b"\n")
    if controls == ends:
        return True
    returns = block.count(b"\r\n")
    return bool(controls == ends + returns + block.count(b"\t")) and block.count(b"\r") == returns


def _is_utf8(block: bytes) -> bool:
    try:
        return block.isascii() or bool(block.decode())
    except UnicodeDecodeError:
        return False


def _arrow_table(lines: Int64, starts: Int32, block: bytes, layout: Layout) -> pa.RecordBatch | None:
    """The columns that are read of these lines as strings, null where empty; None if Arrow reads them otherwise."""
    if not len(lines):
        return None
    data = pa.py_buffer(block)
    if len(lines) < len(starts) - 1:
        data = _binary(block, starts).take(pa.array(lines)).buffers()[2]
    names = [str(column) for column in range(layout.width)]
    read = [names[place] for place in dict.fromkeys(_read_places(layout))]
    try:
        table = pv.read_csv(
            pa.BufferReader(data),
            pv.ReadOptions(use_threads=False, block_size=data.size + 1, column_names=names),
            pv.ParseOptions(delimiter=layout.delimiter),
            pv.ConvertOptions(
                check_utf8=False,  # `_plain_lines` has
                column_types=dict.fromkeys(read, pa.string()),
                include_columns=read,
                null_values=[""],
                strings_can_be_null=True,
            ),
        ).combine_chunks()
    except pa.ArrowInvalid:
        return None
    return table.to_batches()[0] if len(table) == len(lines) else None
