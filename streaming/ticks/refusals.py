"""What a header that does not give the columns is told: what was seen, and which profile option reads such a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streaming.ticks.by_line import split_fields
from streaming.ticks.columns import DELIMITERS, excerpt, spellings
from streaming.ticks.fields import BLANKS, day_of, price_of
from streaming.ticks.names import DATE, ID, PRICE, REQUIRED, candidates, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

SNIFF = "`stocketl sniff FILE` proposes a profile"
_LOOKED_AT = 1 << 16
_LINES = 20
_SIGNS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_GIVEN_BY = {
    DATE: 'date = { column = "…", format = "…" }',
    ID: 'ticker = "…", or from the file\'s name: ticker = { from = "key", pattern = \'(?P<ticker>[^/]+)\\.csv\' }',
    PRICE: 'price = "…"',
}


def several_delimiters(text: str, signs: Sequence[str]) -> str:
    """A header that can be split in two ways."""
    between = " or ".join(_SIGNS[sign] for sign in signs)
    return f'the header can be split at {between}: {excerpt(text)}; a profile says where: csv = {{ delimiter = "…" }}'


def without_columns(lacking: Sequence[str], names: Sequence[str], delimiter: str, head: bytes, body: int) -> str:
    """A header that lacks columns, in the words of what it seems to be."""
    got = excerpt(delimiter.join(names))
    known = any(candidates(list(names)).values())
    if any(is_date(name) or (not known and price_of(name) is not None) for name in names):
        return (
            f"no header line: the first line is data ({got}); expected the names {', '.join(REQUIRED)}. A profile "
            'names the columns: csv = { header = ["date", "ticker", …] }; ' + SNIFF
        )
    if (len(names) == 1 and re.fullmatch(r"sep=.", names[0], re.IGNORECASE)) or re.match(r"sep=", names[0] or ""):
        return (
            f"the header is not in the first line, which is {got}, a note for Excel; a profile skips it: csv = "
            "{ skip_lines = 1 }, or remove it"
        )
    if _has_three_lines(names, head, body):
        return (
            f"the header has three lines (the first is {got}), as some programs write it; a profile skips them: csv = "
            '{ skip_lines = 3, header = ["date", "close", …] }, and gives the ticker: '
            f"{_GIVEN_BY[ID].partition(', or ')[2]}"
        )
    below = _header_below(head, body)
    if below is not None:
        lines, found = below
        return (
            f"the header is not in the first line, which is {got}; line {lines + 1} looks like it ({excerpt(found)}): "
            f"a profile skips what is before: csv = {{ skip_lines = {lines} }}; {SNIFF}"
        )
    cures = "; ".join(_GIVEN_BY[column] for column in lacking if column in _GIVEN_BY)
    between = f", split at {_SIGNS[delimiter]}" if delimiter != "," else ""
    wide = ""
    if list(lacking) == [ID, PRICE] and len(names) > 2:
        wide = ' If it has a column for each ticker: wide = { value = "price" }.'
    return (
        f"the header lacks {', '.join(map(spellings, lacking))}; got {got}{between}. A profile gives it: {cures}."
        f"{wide} {SNIFF}"
    )


def columns_lacking(lacking: Sequence[str], names: Sequence[str], where: Sequence[str] = ()) -> str:
    """The same of a file whose columns have names without a header line. where: what the profile's `rows` names."""
    got = excerpt(", ".join(names))
    if not lacking:
        return f"the columns lack one of {', '.join(map(repr, where))}, which the profile's rows.where names; got {got}"
    cures = "; ".join(_GIVEN_BY[column] for column in lacking)
    return f"the columns lack {', '.join(map(spellings, lacking))}; got {got}. A profile gives it: {cures}. {SNIFF}"


def is_date(name: str) -> bool:
    """Whether a field of a first line is a date and no name.

    >>> is_date("2024-03-04"), is_date("04.03.2024"), is_date("Close")
    (True, True, False)
    """
    return day_of(name) is not None or re.fullmatch(r"[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{1,4}", name) is not None


def _has_three_lines(names: Sequence[str], head: bytes, body: int) -> bool:
    """`Price,Close,…` above `Ticker,AAPL,…` above `Date,,…`: as pandas writes columns of two levels."""
    lines = [line.split(",") for line in _lines(head, body)[:2]]
    return (
        len(lines) == 2
        and plain(names[0]) in ("price", "attributes")
        and [plain(line[0]) for line in lines]
        in (
            ["ticker", "date"],
            ["symbols", "date"],
        )
    )


def _header_below(head: bytes, body: int) -> tuple[int, str] | None:
    """How many lines stand before a line that gives a date and a price by their names."""
    before = head.count(b"\n", 0, body)
    for number, line in enumerate(_lines(head, body)):
        for sign in DELIMITERS:
            fields = split_fields(line, sign) or []
            found = candidates([field.strip(BLANKS) for field in fields])
            if found[DATE] and (found[PRICE] or found[ID]):
                return before + number, line
    return None


def _lines(head: bytes, body: int) -> list[str]:
    text = head[body : body + _LOOKED_AT].decode(errors="replace")
    return [line.removesuffix("\r") for line in text.split("\n")[:_LINES]]
