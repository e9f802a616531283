"""The columnar path: a block of whole lines → columns of ticks and a list of rejects.

Arrow reads the lines whose structure is beyond doubt, and numpy takes the rows whose four fields are; every other
line goes one by one through `by_line.judge`. Measured (2 cores, date,id,price,volume): 0.2-0.3 µs a row here, 3 µs
there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from streaming.packets import UNKNOWN_VOLUME, Float64, Int32, Int64, Rejects, Ticks
from streaming.ticks.by_line import Tick, judge
from streaming.ticks.fields import BLANKS, MAX_LINE, MAX_PRICE, MIN_PRICE, day_of, id_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.ticks.header import Layout

REJECTS_ROOM = 32 << 20
"""Characters of rejects that one parse keeps, 200 added for each: about 150,000 short lines. The others are counted."""

SMALL_BLOCK = 1024
"""Bytes of the largest block that goes line by line as a whole: Arrow needs 1 ms for a row or for 400, a line 8 µs."""

_BAD = -(2**31)
_WIDEST = 100  # columns; RE2's program grows with them, and wider rows are few
# A field is bare or quoted from end to end, with no quote and no control character inside: Arrow, RFC 4180 and
# `by_line.judge` read such a line alike. Where a block is not UTF-8, only its ASCII lines are beyond doubt.
_UTF8_FIELD = r'(?:"[^"\x00-\x08\x0a-\x1f\x7f]*"|[^",\x00-\x08\x0a-\x1f\x7f]*)'
_ASCII_FIELD = r'(?:"[\t !#-~]*"|[\t !#-+\--~]*)'
# At most 18 digits and two of exponent: what these take cannot overflow.
_PRICE = r"^[ \t]*\+?(?P<n>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9][0-9]?)?)[ \t]*$"
_VOLUME = r"^[ \t]*\+?0*(?P<n>[0-9]{1,18})(?:\.0*)?[ \t]*$"


@dataclass(slots=True)
class _Columns:
    """Good rows of one block: line in the block, ticker code, day, price, volume."""

    line: Int64
    code: Int32
    date: Int32
    price: Float64
    volume: Int64


@dataclass(slots=True)
class Gathering:
    """What the blocks of one drop, or of one split of it, add up to."""

    layout: Layout
    text_ids: bool
    read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: Rejects = field(default_factory=Rejects.empty)
    _room: int = REJECTS_ROOM
    _codes: dict[str, int] = field(default_factory=dict)
    _columns: list[_Columns] = field(default_factory=list)

    def add(self, block: bytes, first_line: int) -> int:
        """Takes a block of whole lines, of which the first is line number `first_line`; says how many there are."""
        starts = _line_starts(block)
        certain = self._certain(block, starts) if len(block) > SMALL_BLOCK else _no_columns()
        doubtful = np.ones(len(starts) - 1, np.bool_)
        doubtful[certain.line] = False
        late: list[tuple[int, Tick]] = []
        for index in np.flatnonzero(doubtful).tolist():
            line = block[starts[index] : starts[index + 1]].removesuffix(b"\n")
            fate = judge(line, self.layout, text_ids=self.text_ids)
            if isinstance(fate, str):
                self._reject(first_line + index, line, fate)
            elif fate is not None:
                late.append((index, fate))
        columns = _merged(certain, self._rows(late))
        self.read += len(columns.line)
        self._columns.append(columns)
        return len(starts) - 1

    def ticks(self) -> Ticks:
        """All good rows in the order of the lines."""
        if not self._columns:
            return Ticks.empty()
        parts = [(c.code, c.date, c.price, c.volume) for c in self._columns]
        return Ticks(list(self._codes), *map(np.concatenate, zip(*parts, strict=True)))

    def _reject(self, number: int, line: bytes, reason: str) -> None:
        self.read += 1
        self.reasons[reason] += 1
        if self._room > 0:
            text = shown(line.removesuffix(b"\r"))
            self._room -= len(text) + 200
            self.rejects.line.append(number)
            self.rejects.text.append(text)
            self.rejects.reason.append(reason)

    def _certain(self, block: bytes, starts: Int32) -> _Columns:
        """The rows that need no second look, by far the most."""
        lines = np.arange(len(starts) - 1)
        table = _arrow_table(lines, starts, block, self.layout) if _is_simple(block, starts) else None
        if table is None:
            lines = _plain_lines(block, starts, self.layout.width)
            table = _arrow_table(lines, starts, block, self.layout)
        if table is None:
            return _no_columns()
        date = _by_value(table.column(0), _day)
        code = _by_value(table.column(1), self._code)
        price, volume = _prices(table.column(2)), _volumes(table.column(3))
        good = (date != _BAD) & (code != _BAD) & (price >= MIN_PRICE) & (price <= MAX_PRICE) & (volume != _BAD)
        if good.all():
            return _Columns(lines, code, date, price, volume)
        return _Columns(lines[good], code[good], date[good], price[good], volume[good])

    def _rows(self, late: list[tuple[int, Tick]]) -> _Columns:
        return _Columns(
            np.array([index for index, _ in late], np.int64),
            np.array([self._code(tick[1]) for _, tick in late], np.int32),
            np.array([tick[0] for _, tick in late], np.int32),
            np.array([tick[2] for _, tick in late], np.float64),
            np.array([tick[3] for _, tick in late], np.int64),
        )

    def _code(self, text: str) -> int:
        ticker = id_of(text.strip(BLANKS), text_ids=self.text_ids)
        return _BAD if ticker is None else self._codes.setdefault(ticker, len(self._codes))


@lru_cache(maxsize=1 << 16)  # a file names the same days again in each block
def _day(text: str) -> int:
    day = day_of(text.strip(BLANKS))
    return _BAD if day is None else day


def _no_columns() -> _Columns:
    i64, i32, f64 = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float64)
    return _Columns(i64, i32, i32, f64, i64)


def _merged(certain: _Columns, late: _Columns) -> _Columns:
    """Both in the order of their lines."""
    if not len(late.line):
        return certain
    order = np.argsort(np.concatenate([certain.line, late.line]))
    pairs = ((getattr(certain, name), getattr(late, name)) for name in _Columns.__slots__)
    return _Columns(*(np.concatenate(pair)[order] for pair in pairs))


def _line_starts(block: bytes) -> Int32:
    """Offset of each line, and the end of the block."""
    newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
    lines = len(newlines) + (not block.endswith(b"\n") and bool(block))
    starts = np.zeros(lines + 1, np.int32)
    starts[1 : len(newlines) + 1] = newlines + 1
    starts[-1] = len(block)
    return starts


def _binary(block: bytes, starts: Int32) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, [None, pa.py_buffer(starts), pa.py_buffer(block)])


def _plain_lines(block: bytes, starts: Int32, width: int) -> Int64:
    """Indexes of the lines that have the right number of fields, beyond doubt."""
    if width > _WIDEST:
        return np.empty(0, np.int64)
    one = _UTF8_FIELD if _is_utf8(block) else _ASCII_FIELD
    pattern = rf"^{one}(?:,{one}){{{width - 1}}}\r?\n?$"
    plain = pc.match_substring_regex(_binary(block, starts), pattern).to_numpy(zero_copy_only=False)
    return np.flatnonzero(plain & (np.diff(starts) <= MAX_LINE))


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
    """The four columns of these lines as strings, null where empty; None if Arrow reads the lines otherwise."""
    if not len(lines):
        return None
    data = pa.py_buffer(block)
    if len(lines) < len(starts) - 1:
        data = _binary(block, starts).take(pa.array(lines)).buffers()[2]
    names = [str(column) for column in range(layout.width)]
    wanted = [names[column] for column in layout.columns]
    try:
        table = pv.read_csv(
            pa.BufferReader(data),
            pv.ReadOptions(use_threads=False, block_size=data.size + 1, column_names=names),
            pv.ParseOptions(),
            pv.ConvertOptions(
                check_utf8=False,  # `_plain_lines` has
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
            ),
        ).combine_chunks()
    except pa.ArrowInvalid:
        return None
    return table.to_batches()[0] if len(table) == len(lines) else None


def _by_value(column: pa.Array, value_of: Callable[[str], int]) -> Int32:
    """`value_of` each distinct string, spread over the rows: dates and tickers repeat."""
    encoded = column.dictionary_encode()
    values = np.array([*map(value_of, encoded.dictionary.to_pylist()), _BAD], np.int32)
    rows: Int32 = values[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return rows


def _prices(column: pa.Array) -> Float64:
    """Float64, correctly rounded (Arrow parses by Eisel-Lemire); NaN or out of range where it is not certain."""
    try:
        prices = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        prices = pc.cast(_captured(column, _PRICE), pa.float64())
    certain: Float64 = prices.fill_null(np.nan).to_numpy(zero_copy_only=False)
    return certain


def _volumes(column: pa.Array) -> Int64:
    """Int64, `UNKNOWN_VOLUME` for an empty field, `_BAD` where it is not certain. Arrow alone would take `0x1F`."""
    if _are_digits(column):
        whole: Int64 = pc.cast(column, pa.int64()).fill_null(UNKNOWN_VOLUME).to_numpy(zero_copy_only=False)
        return whole
    volumes = pc.cast(_captured(column, _VOLUME), pa.int64())
    missing = pc.if_else(column.is_null(), UNKNOWN_VOLUME, _BAD)
    certain: Int64 = pc.coalesce(volumes, missing).to_numpy(zero_copy_only=False)
    return certain


def _are_digits(column: pa.Array) -> bool:
    """Whether the strings are null or 1 to 18 digits, a tenth of what the pattern costs."""
    _, ends, data = column.buffers()
    bounds = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
    letters = np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]]
    return bool((letters - ord("0") <= 9).all() and np.diff(bounds).max() <= 18)


def _captured(column: pa.Array, pattern: str) -> pa.Array:
    return pc.struct_field(pc.extract_regex(column, pattern), "n")
