"""The careful path: one line of a CSV → a tick, a reason, or nothing (a blank line)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streaming.ticks.fields import BLANKS, CONTROL, MAX_LINE, NAMES, REQUIRED, day_of, id_of, price_of, volume_of

if TYPE_CHECKING:
    from streaming.ticks.header import Layout

Tick = tuple[int, str, float, int]
"""Days since 1970-01-01, ticker, price, volume."""

# Possessive, so that an unclosed quote in a line of a megabyte costs one pass.
_QUOTED = re.compile(rf'[{BLANKS}]*+"([^"]*+(?:""[^"]*+)*+)"[{BLANKS}]*+(,|\Z)')
_PLAIN = re.compile(rf'(?![{BLANKS}]*+")([^,]*+)(,|\Z)')


def split_fields(text: str) -> list[str] | None:
    """The fields of a line as RFC 4180 has it, blanks around the quotes allowed; None if a quoted field does not end.

    A quote inside a field that does not begin with one is a letter like any other.
    """
    if '"' not in text:
        return text.split(",")
    fields, at, comma = [], 0, ","
    while comma:
        plain = _PLAIN.match(text, at)
        match = plain or _QUOTED.match(text, at)
        if match is None:
            return None
        fields.append(match[1] if plain else match[1].replace('""', '"'))
        at, comma = match.end(), match[2]
    return fields


def judge(line: bytes, layout: Layout, *, text_ids: bool) -> Tick | str | None:
    """What a line without its newline is: a tick, the first that applies of `fields.REASONS`, or None if blank."""
    if len(line) > MAX_LINE:
        return "line-too-long"
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        return "not-utf8"
    if not text.strip(BLANKS):
        return None
    fields = split_fields(text)
    if fields is None:
        return "bad-quotes"
    if len(fields) != layout.width:
        return "wrong-number-of-fields"
    four = [fields[column].strip(BLANKS) for column in layout.columns]
    tick = _tick(four, text_ids=text_ids)
    return "control-character" if isinstance(tick, tuple) and CONTROL.search(text) else tick


def _tick(four: list[str], *, text_ids: bool) -> Tick | str:
    if tuple(NAMES.get(field.lower()) for field in four) == REQUIRED:
        return "repeated-header"
    day = day_of(four[0])
    if day is None:
        return "bad-date"
    ticker = id_of(four[1], text_ids=text_ids)
    if ticker is None:
        return "bad-id"
    price = price_of(four[2])
    if price is None:
        return "bad-price" if four[2] else "missing-price"
    volume = volume_of(four[3])
    return "bad-volume" if volume is None else (day, ticker, price, volume)
