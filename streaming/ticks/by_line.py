"""The careful path: one line of a CSV → a tick, a reason, or nothing (a blank line)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from streaming.packets import UNKNOWN_VOLUME
from streaming.ticks.fields import BLANKS, CONTROL, MAX_LINE, UNREADABLE
from streaming.ticks.names import REQUIRED, meaning, meaning_before

if TYPE_CHECKING:
    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules

PASSED_OVER = "passed-over"
"""Of a row that the profile's `where` does not want: no reason, and no row."""
_NO_TEXT = re.compile(r"[\udc80-\udcff]")


class Tick(NamedTuple):
    """day: days since 1970-01-01; volume: also `UNKNOWN_VOLUME` and `UNREADABLE`; timed: not at midnight."""

    day: int
    ticker: str
    price: float
    volume: int
    timed: bool


@lru_cache(maxsize=16)
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of a quoted field and of a bare one. Possessive, so that an unclosed quote in a megabyte costs one pass."""
    blanks, end = BLANKS.replace(delimiter, ""), re.escape(delimiter)
    quoted = re.compile(rf'[{blanks}]*+"([^"]*+(?:""[^"]*+)*+)"[{blanks}]*+({end}|\Z)')
    return quoted, re.compile(rf'(?![{blanks}]*+")([^{end}]*+)({end}|\Z)')


def split_fields(text: str, delimiter: str = ",") -> list[str] | None:
    """The fields of a line as RFC 4180 has it, blanks around the quotes allowed; None if a quoted field does not end.

    A quote inside a field that does not begin with one is a letter like any other.
    """
    if '"' not in text:
        return text.split(delimiter)
    quoted, bare = _patterns(delimiter)
    fields, at, more = [], 0, delimiter
    while more:
        plain = bare.match(text, at)
        match = plain or quoted.match(text, at)
        if match is None:
            return None
        fields.append(match[1] if plain else match[1].replace('""', '"'))
        at, more = match.end(), match[2]
    return fields


def judge(line: bytes, layout: Layout, rules: Rules) -> Tick | str | None:
    """What a line without its newline is: a tick, the first that applies of `fields.REASONS`, or None if blank."""
    fields = fields_of(line, layout, rules)
    if fields is None or isinstance(fields, str):
        return fields
    four = [None if column is None else fields[column].strip(BLANKS) for column in layout.columns]
    if not line.isascii() and any(_NO_TEXT.search(field) for field in four if field is not None):
        return "not-utf8"
    tick = _tick(four, layout, rules)
    if isinstance(tick, Tick) and CONTROL.search(line.removesuffix(b"\r").decode(errors="surrogateescape")):
        return "control-character"
    return tick


def judge_wide(line: bytes, layout: Layout, rules: Rules) -> list[Tick | str]:
    """What a line is that has a price for each ticker: a tick or a reason for each of its cells that is not empty.

    One reason alone, if it is the line's or its date's.
    """
    fields = fields_of(line, layout, rules)
    if fields is None or fields == PASSED_OVER:
        return []
    if isinstance(fields, str):
        return [fields]
    date, *_ = layout.columns
    cells = {place: fields[place].strip(BLANKS) for place in layout.wide}
    dated = (rules.fixed_day, False) if date is None else rules.day(fields[date].strip(BLANKS))
    fault = _fault_of_line(line, cells, layout)
    if fault is not None or dated is None or dated[0] is None:
        return [fault or "bad-date"]
    day, timed = dated[0], dated[1]
    given = {place: text for place, text in cells.items() if text and text not in rules.unknown}
    return [_cell(day, timed, layout.wide[place], text, rules) for place, text in given.items()]


def _fault_of_line(line: bytes, cells: dict[int, str], layout: Layout) -> str | None:
    if all(text == layout.wide[place] for place, text in cells.items()):
        return "repeated-header"
    if not line.isascii() and any(map(_NO_TEXT.search, cells.values())):
        return "not-utf8"
    control = CONTROL.search(line.removesuffix(b"\r").decode(errors="surrogateescape"))
    return "control-character" if control else None


def _cell(day: int, timed: bool, name: str, text: str, rules: Rules) -> Tick | str:  # noqa: FBT001 (of a tick)
    ticker, price = rules.ticker(name), rules.price(text)
    if ticker is None:
        return "bad-id"
    return "bad-price" if price is None else Tick(day, ticker, price, UNKNOWN_VOLUME, timed)


def fields_of(line: bytes, layout: Layout, rules: Rules) -> list[str] | str | None:
    """The fields of a line, or why it has none; bytes that are no text stay in them as lone surrogates."""
    if len(line) > MAX_LINE:
        return "line-too-long"
    text = line.removesuffix(b"\r").decode(errors="surrogateescape")
    if rules.before and not line.isascii() and _NO_TEXT.search(text):
        return "not-utf8"
    if not text.strip(BLANKS):
        return None
    fields = split_fields(text, layout.delimiter)
    if fields is None or len(fields) != layout.width:
        return "bad-quotes" if fields is None else "wrong-number-of-fields"
    is_wanted = all(fields[place].strip(BLANKS) in wanted for place, wanted in layout.where)
    return fields if is_wanted else PASSED_OVER


def _tick(four: list[str | None], layout: Layout, rules: Rules) -> Tick | str:
    date, name, price_text, volume_text = four
    dated = (rules.fixed_day, False) if date is None else rules.day(date)
    if dated is None or dated[0] is None:
        return "repeated-header" if _is_header(four, layout, rules) else "bad-date"
    ticker = rules.fixed_ticker if name is None else rules.ticker(name)
    if ticker is None:
        return "bad-id"
    price = rules.price(price_text or "")
    if price is None:
        if date is None and _is_header(four, layout, rules):
            return "repeated-header"
        return "bad-price" if price_text else "missing-price"
    volume = rules.volume(volume_text or "")
    if rules.before and volume == UNREADABLE:
        return "bad-volume"
    return Tick(dated[0], ticker, price, volume, dated[1])


def _is_header(four: list[str | None], layout: Layout, rules: Rules) -> bool:
    meant = meaning_before if rules.before else meaning
    given = [
        (column, field, layout.names[place])
        for column, field, place in zip(REQUIRED, four, layout.columns, strict=True)
        if field is not None and place is not None
    ]
    return all(field == name or meant(field) == column for column, field, name in given)
