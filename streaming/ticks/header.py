"""The first bytes of a drop: whether it is a CSV at all, and which columns are ours.

The verdict rests on the first `HEADER_LIMIT + 1` bytes only, so it is the same however a drop is cut into ranges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streaming.errors import StockETLError
from streaming.ticks.by_line import split_fields
from streaming.ticks.fields import BLANKS, CONTROL, NAMES, REQUIRED, day_of, price_of

HEADER_LIMIT = 1 << 20
"""Bytes within which the header line must end: some 30,000 columns have room."""
TEXT_WINDOW = 1 << 16
"""If a NUL is in these bytes, the whole drop fails. Further down it costs only its row."""
GZIP = b"\x1f\x8b"
_IGNORED_SHOWN, _NAME_SHOWN = 50, 60

_OTHER_FORMATS = {
    GZIP: "gzip inside the file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "a Parquet file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "a PDF file",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "a 7z archive",
}
# Blank lines, as `by_line` knows them, and blanks before the first name.
_BEGINNING = re.compile(rb"(?:[ \t\n]|\r\n|\xc2\xa0|\xef\xbb\xbf)*+")


class UnreadableError(StockETLError):
    """A drop that fails as a whole; the message is the drop's reason."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns stand.

    columns: positions of date, id, price and volume; width: fields of each row; body: offset in bytes of the first
    line after the header; ignored: names of the other columns, bounded in number and length.
    """

    columns: tuple[int, int, int, int]
    width: int
    body: int
    ignored: list[str]


def read_header(head: bytes) -> Layout:
    """The layout that `head`, the first `HEADER_LIMIT + 1` bytes of a drop or all of it, announces.

    Raises UnreadableError if it is no CSV, or if a required column is missing or there twice.
    """
    if not head:
        msg = "the file is empty: zero bytes"
        raise UnreadableError(msg)
    _refuse_other_formats(head[:TEXT_WINDOW])
    start = _first_text(head)
    end = head.find(b"\n", start)
    if end < 0:
        if len(head) > HEADER_LIMIT:
            msg = f"no header: the first line is longer than {HEADER_LIMIT:,} bytes; expected column names in one line"
            raise UnreadableError(msg)
        end = len(head)
    names = _names(head[start:end].removesuffix(b"\r"))
    columns = _columns(names)
    return Layout(columns, len(names), min(end + 1, len(head)), _ignored(names, columns))


def _first_text(head: bytes) -> int:
    match = _BEGINNING.match(head)
    start = match.end() if match else 0
    if start == len(head):
        msg = "the file holds no header: nothing but blanks in its beginning"
        raise UnreadableError(msg)
    return start


def _refuse_other_formats(head: bytes) -> None:
    found = next((name for magic, name in _OTHER_FORMATS.items() if head.startswith(magic)), None)
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if found is None and first == b"<":
        found = "HTML or XML"
    if found is None and first in (b"{", b"["):
        found = "JSON"
    if found is None and b"\x00" in head:
        found = f"not text (a NUL byte at offset {head.index(0)}: binary, or UTF-16)"
    if found is not None:
        msg = f"not a CSV file: expected UTF-8 text, plain or packed once with gzip, got {found}"
        raise UnreadableError(msg)


def _names(line: bytes) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        msg = f"the header is not UTF-8: byte 0x{line[error.start]:02x} at offset {error.start}; save the file as UTF-8"
        raise UnreadableError(msg) from None
    control = CONTROL.search(text)
    if control:
        ends = "; lines must end in LF or CRLF, not in a lone CR" if control[0] == "\r" else ""
        msg = f"the header holds the control character {control[0]!r} at position {control.start()}{ends}"
        raise UnreadableError(msg)
    fields = split_fields(text)
    if fields is None:
        msg = f"the header has a quote that does not end: {_excerpt(text)}"
        raise UnreadableError(msg)
    return [field.strip(BLANKS) for field in fields]


def _columns(names: list[str]) -> tuple[int, int, int, int]:
    places: dict[str, list[int]] = {name: [] for name in REQUIRED}
    for place, name in enumerate(names):
        meaning = NAMES.get(name.lower())
        if meaning is not None:
            places[meaning].append(place)
    missing = [name for name, found in places.items() if not found]
    got = _excerpt(",".join(names))
    if missing and any(day_of(name) is not None or price_of(name) is not None for name in names):
        msg = f"no header line: the first line is data ({got}); expected the names {', '.join(REQUIRED)}"
        raise UnreadableError(msg)
    if missing:
        msg = f"the header lacks {', '.join(map(_spellings, missing))}; got {got}"
        raise UnreadableError(msg)
    twice = [name for name, found in places.items() if len(found) > 1]
    if twice:
        msg = f"the header names {', '.join(map(_spellings, twice))} more than once; got {got}"
        raise UnreadableError(msg)
    day, ticker, price, volume = (places[name][0] for name in REQUIRED)
    return day, ticker, price, volume


def _spellings(name: str) -> str:
    others = [alias for alias, meaning in NAMES.items() if meaning == name != alias]
    return f"'{name}' (also {', '.join(others)})" if others else f"'{name}'"


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:99] + "…")


def _ignored(names: list[str], columns: tuple[int, ...]) -> list[str]:
    others = [
        name[:_NAME_SHOWN] or f"(column {place + 1}, without a name)"
        for place, name in enumerate(names)
        if place not in columns
    ]
    more = len(others) - _IGNORED_SHOWN
    return [*others[:_IGNORED_SHOWN], f"(and {more} more)"] if more > 0 else others
