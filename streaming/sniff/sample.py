"""The beginning of a file as text: its encoding, its lines, where its fields end, and which line is the header."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.sniff.names import meaning
from streaming.sniff.values import is_date_like, is_number_like
from streaming.ticks.by_line import split_fields
from streaming.ticks.columns import DELIMITERS
from streaming.ticks.fields import BLANKS
from streaming.ticks.unpack import is_packed, unpacked
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES = 4 << 20
_HEADER_WITHIN, _ROWS = 40, 2_000
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8"}


@dataclass(frozen=True)
class Sample:
    """What the beginning of a file looks like.

    names: of the columns, None if no line gives them; skip_lines: lines before the header, or before the rows if there
    is none; rows: the first rows, fields without blanks around them.
    """

    encoding: str
    delimiter: str
    skip_lines: int
    names: list[str] | None
    rows: list[list[str]]

    def column(self, place: int) -> list[str]:
        """The texts of a column that are not empty."""
        return [row[place] for row in self.rows if row[place]]


def sample_of(data: bytes) -> Sample:
    """Raises UnreadableError for what is no text, or has no rows of equal width."""
    head = _head(data)
    encoding = _encoding(head)
    lines = head.decode(encoding, errors="replace").removeprefix("\ufeff").splitlines()
    if "\0" in "".join(lines[:50]):
        msg = "not a text: it holds NUL bytes; expected CSV or Parquet, plain or packed"
        raise UnreadableError(msg)
    found = [_split(lines, sign) for sign in DELIMITERS]
    best = max(found, key=lambda one: one[0])
    if best[0] <= 0:
        msg = "no table was found: expected lines with equally many fields, split at , ; | or tabs"
        raise UnreadableError(msg)
    _, delimiter, begin, names, rows = best
    return Sample(encoding, delimiter, begin, names, rows)


def _head(data: bytes) -> bytes:
    if not is_packed(data):
        return data[:_BYTES]
    pieces = unpacked(data, limit=1 << 40, chunk=1 << 20)
    return b"".join(itertools.islice(pieces, _BYTES >> 20))


def _encoding(head: bytes) -> str:
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            return name
    begin = head[:4_000]
    if begin[1::2].count(0) > len(begin) // 4:
        return "utf-16-le"
    if begin[::2].count(0) > len(begin) // 4:
        return "utf-16-be"
    try:
        head[: len(head) - 4].decode()
    except UnicodeDecodeError as error:
        return "cp1252" if error.start < len(head) - 8 else "utf-8"
    return "utf-8"


def _split(lines: Sequence[str], sign: str) -> tuple[float, str, int, list[str] | None, list[list[str]]]:
    """How good it looks, and what it gives: lines before the header or the rows, names, rows."""
    every = [[field.strip(BLANKS) for field in split_fields(line, sign) or []] for line in lines[: _ROWS + 50]]
    widths = [len(fields) for fields in every if len(fields) > 1]
    if not widths:
        return 0.0, sign, 0, None, []
    width = max(set(widths), key=widths.count)
    begin = next(number for number, fields in enumerate(every) if len(fields) == width and any(fields))
    header = _header(every[: begin + _HEADER_WITHIN], width)
    after = begin if header is None else header + 1
    rows = [fields for fields in every[after:] if len(fields) == width and any(fields)]
    if not rows and header is None:
        return 0.0, sign, 0, None, []
    names = None if header is None else every[header]
    known = len({meaning(name) for name in names or () if meaning(name)})
    dated = sum(any(map(is_date_like, row)) for row in rows[:50]) / max(len(rows[:50]), 1)
    skip = begin if header is None else header
    return known * 2 + 3 * dated + width / 1_000 + len(rows) / max(len(every), 1), sign, skip, names, rows


def _header(every: list[list[str]], width: int) -> int | None:
    """The line of names: the one with most known ones before the first row of data."""
    best, most = None, -1
    for number, fields in enumerate(every):
        if len(fields) != width:
            continue
        if any(map(is_date_like, fields)):
            break
        known = len({meaning(name) for name in fields if meaning(name)})
        is_names = sum(bool(field) and not is_number_like(field) for field in fields) > width / 2
        if is_names and known >= most:
            best, most = number, known
    return best
