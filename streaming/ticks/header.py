"""The first bytes of a drop: whether it is a CSV at all, and which columns are ours.

The verdict rests on the first `HEADER_LIMIT + 1` bytes only, so it is the same however a drop is cut into ranges.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streaming.ticks.by_line import split_fields
from streaming.ticks.columns import DELIMITERS, columns_of, ignored, places_before, places_of
from streaming.ticks.fields import BLANKS, CONTROL
from streaming.ticks.gunzip import GZIP
from streaming.ticks.layout import Layout
from streaming.ticks.names import REQUIRED, is_second_key
from streaming.ticks.refusals import several_delimiters, without_columns
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from streaming.ticks.rules import Rules

HEADER_LIMIT = 1 << 20
"""Bytes within which the header line must end: some 30,000 columns have room."""
TEXT_WINDOW = 1 << 16
"""If a NUL is in these bytes, the whole drop fails. Further down it costs only its row."""

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
# Blank lines, as `by_line` knows them, and blanks before the first name. A tab there may part a column without a name.
_BLANKS = rb"(?:[ \t]|\xc2\xa0|\xef\xbb\xbf)*+"
_BEGINNING = re.compile(rb"(?:%b\r?\n)*+(?:%b\r?\Z|(?: |\xc2\xa0|\xef\xbb\xbf)*+)" % (_BLANKS, _BLANKS))


# `<TICKER>,<PER>,<DATE>` and the like: names, and no tags
_NAMES_IN_BRACKETS = re.compile(rb"<[\w /-]+>[ \t]*([,;|\t][ \t]*<[\w /-]+>[ \t]*)+\r?(?:\n|\Z)")


def read_header(head: bytes, rules: Rules) -> Layout:
    """The layout that `head`, the first `HEADER_LIMIT + 1` bytes of a drop or all of it, announces.

    Raises UnreadableError if it is no CSV, or if a required column is missing or there twice.
    """
    if not head:
        msg = "the file is empty: zero bytes"
        raise UnreadableError(msg)
    _refuse_other_formats(head[:TEXT_WINDOW])
    begin = _after_skipped_lines(head, rules)
    profile = rules.profile
    if profile is not None and profile.csv.header is not None:
        return _layout(list(profile.csv.header), profile.csv.delimiter or ",", head, begin, rules)
    start = _first_text(head, begin)
    end = head.find(b"\n", start)
    if end < 0:
        if len(head) > HEADER_LIMIT:
            msg = f"no header: the first line is longer than {HEADER_LIMIT:,} bytes; expected column names in one line"
            raise UnreadableError(msg)
        end = len(head)
    text = _text(head[start:end].removesuffix(b"\r"), rules)
    body = min(end + 1, len(head))
    delimiter = profile.csv.delimiter if profile is not None else None
    if rules.before or delimiter is not None:
        return _layout(_names(text, delimiter or ","), delimiter or ",", head, body, rules)
    readable = [sign for sign in DELIMITERS if _gives_all(_split(text, sign), rules)]
    if len(readable) > 1:
        raise UnreadableError(several_delimiters(text, readable))
    likely = readable[0] if readable else max(DELIMITERS, key=lambda sign: len(_split(text, sign) or text.split(sign)))
    return _layout(_names(text, likely), likely, head, body, rules)


def _layout(names: list[str], delimiter: str, head: bytes, body: int, rules: Rules) -> Layout:
    places = places_before(names) if rules.before else places_of(names, rules)
    lacking = [name for name in _wanted(rules) if not places[name]]
    if rules.before and not places[REQUIRED[3]]:
        lacking.append(REQUIRED[3])
    if lacking:
        raise UnreadableError(without_columns(lacking, names, delimiter, head, body))
    columns = columns_of(names, places, rules)
    where = _where(names, rules)
    wide = _wide(names, columns[0]) if rules.profile is not None and rules.profile.wide else {}
    used = {*columns, *(place for place, _ in where), *wide}
    return Layout(
        columns=columns,
        names=tuple(names),
        body=body,
        top=head.count(b"\n", 0, body),
        ignored=ignored(names, used),
        delimiter=delimiter,
        second_key=tuple(n for place, n in enumerate(names) if place not in used and is_second_key(n)),
        where=where,
        wide=wide,
    )


def _wanted(rules: Rules) -> list[str]:
    """The columns without which a file cannot be read: all but the volume, and those that the key gives."""
    if rules.profile is not None and rules.profile.wide:
        return [REQUIRED[0]]
    given = [rules.fixed_day is not None, rules.fixed_ticker is not None, False]
    return [name for name, is_given in zip(REQUIRED, given, strict=False) if not is_given]


def _gives_all(names: list[str] | None, rules: Rules) -> bool:
    if names is None:
        return False
    places = places_of(names, rules)
    return all(places[name] for name in _wanted(rules))


def _where(names: list[str], rules: Rules) -> tuple[tuple[int, frozenset[str]], ...]:
    lost = [name for name in rules.where if name not in names]
    if lost:
        msg = f"the header lacks the column {lost[0]!r}, which the profile's rows.where names; got {names!r:.100}"
        raise UnreadableError(msg)
    return tuple((names.index(name), texts) for name, texts in rules.where.items())


def _wide(names: list[str], date: int | None) -> dict[int, str]:
    return {place: name for place, name in enumerate(names) if place != date and name}


def _after_skipped_lines(head: bytes, rules: Rules) -> int:
    at = 0
    for _ in range(rules.profile.csv.skip_lines if rules.profile is not None else 0):
        at = head.find(b"\n", at) + 1
        if not at:
            msg = f"the header is not there: the file ends before the profile's skip_lines; got {len(head):,} bytes"
            raise UnreadableError(msg)
    return at


def _first_text(head: bytes, begin: int) -> int:
    match = _BEGINNING.match(head, begin)
    start = match.end() if match else begin
    if start == len(head):
        msg = "the file holds no header: nothing but blanks in its beginning"
        raise UnreadableError(msg)
    return start


def _refuse_other_formats(head: bytes) -> None:
    found = next((name for magic, name in _OTHER_FORMATS.items() if head.startswith(magic)), None)
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if found is None and bare.startswith(b"<") and not _NAMES_IN_BRACKETS.match(bare):
        found = "HTML or XML"
    if found is None and bare[:1] in (b"{", b"["):
        found = "JSON"
    if found is None and b"\x00" in head:
        found = f"not text (a NUL byte at offset {head.index(0)}: binary, or UTF-16)"
    if found is not None:
        how = ', which a profile reads: csv = { encoding = "utf-16" }' if "UTF-16" in found else ""
        msg = f"not a CSV file: expected UTF-8 text, plain or packed once, got {found}{how}"
        raise UnreadableError(msg)


def _text(line: bytes, rules: Rules) -> str:
    try:
        text = line.decode(rules.encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if rules.encoding == "utf-8" else rules.encoding
        how = "" if rules.before else ', or give its encoding in a profile: csv = { encoding = "cp1252" }'
        msg = (
            f"the header is not {name}: byte 0x{line[error.start]:02x} at offset {error.start}; save the file as UTF-8"
            f"{how}"
        )
        raise UnreadableError(msg) from None
    control = CONTROL.search(text)
    if control:
        ends = "; lines must end in LF or CRLF, not in a lone CR" if control[0] == "\r" else ""
        msg = f"the header holds the control character {control[0]!r} at position {control.start()}{ends}"
        raise UnreadableError(msg)
    return text


def _split(text: str, delimiter: str) -> list[str] | None:
    fields = split_fields(text, delimiter)
    return None if fields is None else [field.strip(BLANKS) for field in fields]


def _names(text: str, delimiter: str) -> list[str]:
    fields = _split(text, delimiter)
    if fields is None:
        msg = f"the header has a quote that does not end: {text!r:.100}"
        raise UnreadableError(msg)
    return fields
