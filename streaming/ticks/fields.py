"""What one field of a CSV row may hold, and the closed list of reasons why a row is not a tick.

Each function takes a field without the blanks around it and gives the value, or None if the field breaks the
contract. They are the one authority: the columnar path (`by_column`) accepts less and asks them about the rest.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

from streaming.packets import UNKNOWN_VOLUME

REASONS = (
    "line-too-long",
    "bad-quotes",
    "wrong-number-of-fields",
    "not-utf8",
    "repeated-header",
    "bad-date",
    "bad-id",
    "missing-price",
    "bad-price",
    "control-character",
)
"""Every reason there is, in the order in which a row is tried: the first that applies is given.

Files that were read before there were profiles have one more, `bad-volume`.
"""

# Spreadsheets pad with no-break spaces, and files glued together carry a byte order mark in the middle: kept, either
# would make a second ticker that looks like the first.
BLANKS = " \t\u00a0\ufeff"

MAX_LINE = 1 << 20
"""Bytes of the longest line that is looked at, its newline apart; a longer one is one reject."""
MAX_ID_BYTES = 59  # `stk_` and the id make a column name, and PostgreSQL cuts names at 63 bytes
MIN_PRICE, MAX_PRICE = 1e-9, 1e12
MAX_VOLUME = 2**63 - 1
SHOWN = 1_000

UNREADABLE = -2
"""In the place of a volume that is none; it becomes `UNKNOWN_VOLUME` once it is counted."""

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ID_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DATE = re.compile(r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})(?:[T ](.*))?", re.ASCII)
_STRICT_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(
    r"([01][0-9]|2[0-3]):?([0-5][0-9])(?::?([0-5][0-9])(?:[.,]([0-9]{1,9}))?)?"
    r"(?: ?(?:Z|UTC|GMT|[+-](?:0[0-9]|1[0-4]):?(?:[0-5][0-9])?))?",
)
_PRICE = re.compile(r"\+?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_VOLUME = re.compile(r"\+?([0-9]++)(?:\.0*+)?")
_GUARDED = re.compile(r"=\"(.*)\"|'(.*)")
_HALF_GUARDED = re.compile(r"[;=][^\W_]|=")
_EPOCH = dt.date(1970, 1, 1).toordinal()


def day_of(text: str) -> int | None:
    """Days since 1970-01-01 of a real day, 1800-01-01 to 2199-12-31.

    Written `YYYY-MM-DD`, `YYYYMMDD` or `YYYY/MM/DD`, also with a time and its zone behind it: the day as it is written.
    """
    found = dated_of(text)
    return None if found is None else found[0]


def dated_of(text: str) -> tuple[int, bool] | None:
    """The same day, and whether a time other than midnight is behind it.

    >>> dated_of("1970-01-02 00:00:00-05:00"), dated_of("19700102T09:30"), dated_of("1970-01-02 25:00")
    ((1, False), (1, True), None)
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    clock = None if match[5] is None else _CLOCK.fullmatch(match[5])
    if clock is None and match[5] is not None:
        return None
    day = day_number(int(match[1]), int(match[3]), int(match[4]))
    timed = clock is not None and any(part is not None and int(part) > 0 for part in clock.groups())
    return None if day is None else (day, timed)


def strict_day_of(text: str) -> int | None:
    """The same of `YYYY-MM-DD` alone."""
    return day_of(text) if _STRICT_DATE.fullmatch(text) else None


def day_number(year: int, month: int, day: int) -> int | None:
    """Days since 1970-01-01 of a real day from 1800 to 2199."""
    try:
        ordinal = dt.date(year, month, day).toordinal()
    except ValueError:
        return None
    return ordinal - _EPOCH if 1800 <= year <= 2199 else None


def iso_of(day: int) -> str:
    """`YYYY-MM-DD` of days since 1970-01-01."""
    return dt.date.fromordinal(day + _EPOCH).isoformat()


def id_of(text: str, *, text_ids: bool) -> str | None:
    """The ticker in its one spelling: unless `text_ids`, whole numbers get three digits (`7`, `0007` are `007`)."""
    if not text or len(text.encode()) > MAX_ID_BYTES or _ID_CONTROL.search(text):
        return None
    if not text_ids and text.isascii() and text.isdigit():
        return text.lstrip("0").zfill(3)
    return text


def unguarded(text: str) -> str | None:
    """The code inside of what guards it from a spreadsheet; None for half a guard and for a formula.

    >>> unguarded('="600519"'), unguarded("'600519"), unguarded(";600519"), unguarded("BRK.B"), unguarded("'")
    ('600519', '600519', None, 'BRK.B', "'")
    """
    if text == "'":  # guards nothing
        return text
    guarded = _GUARDED.fullmatch(text)
    if guarded is not None:
        return (guarded[1] or guarded[2] or "").strip(BLANKS)
    return None if _HALF_GUARDED.match(text) else text


def price_of(text: str) -> float | None:
    """The nearest float64 of a plain or exponent decimal, if that lies from 1e-9 to 1e12."""
    if not _PRICE.fullmatch(text):
        return None
    price = float(text)
    return price if MIN_PRICE <= price <= MAX_PRICE else None


def volume_of(text: str, *, strict: bool = False) -> int:
    """A whole number of 63 bits, however its zeros are written: `5`, `5.00`, `1e+05`.

    `UNKNOWN_VOLUME` for an empty field, `UNREADABLE` for anything else. strict: without an exponent.
    """
    if not text:
        return UNKNOWN_VOLUME
    match = _VOLUME.fullmatch(text)
    if match is None:
        return UNREADABLE if strict else _whole(text)
    digits = match[1].lstrip("0")
    # Python refuses to convert thousands of digits, so the length is looked at first.
    if len(digits) > 19 or int(digits or "0") > MAX_VOLUME:
        return UNREADABLE
    return int(digits or "0")


def _whole(text: str) -> int:
    """The value of a decimal with a fraction or an exponent, if it is whole."""
    if not _PRICE.fullmatch(text) or len(text) > 60:
        return UNREADABLE
    number = Decimal(text)
    if number == 0:
        return 0
    if not 0 <= number.adjusted() <= 19 or number != number.to_integral_value() or number > MAX_VOLUME:
        return UNREADABLE
    return int(number)


def shown(line: bytes) -> str:
    r"""A line for a person, at most 1,000 characters: bytes that are no text and control characters as `\x00`.

    No NUL is left in it, because neither `text` nor `jsonb` of PostgreSQL takes one.
    """
    text = line[: 4 * SHOWN].decode("utf-8", "backslashreplace")[:SHOWN]
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)[:SHOWN]
