"""What one field of a CSV row may hold, and the closed list of reasons why a row is not a tick.

Each function takes a field without the blanks around it and gives the value, or None if the field breaks the
contract. They are the one authority: the columnar path (`by_column`) accepts less and asks them about the rest.
"""

from __future__ import annotations

import datetime as dt
import re

from streaming.packets import UNKNOWN_VOLUME

REASONS = (
    "line-too-long",
    "not-utf8",
    "bad-quotes",
    "wrong-number-of-fields",
    "repeated-header",
    "bad-date",
    "bad-id",
    "missing-price",
    "bad-price",
    "bad-volume",
    "control-character",
)
"""Every reason there is, in the order in which a row is tried: the first that applies is given."""

# Spreadsheets pad with no-break spaces, and files glued together carry a byte order mark in the middle: kept, either
# would make a second ticker that looks like the first.
BLANKS = " \t\u00a0\ufeff"

MAX_LINE = 1 << 20
"""Bytes of the longest line that is looked at, its newline apart; a longer one is one reject."""
MAX_ID_BYTES = 59  # `stk_` and the id make a column name, and PostgreSQL cuts names at 63 bytes
MIN_PRICE, MAX_PRICE = 1e-9, 1e12
MAX_VOLUME = 2**63 - 1
SHOWN = 1_000

REQUIRED = ("date", "id", "price", "trade_volume")
NAMES = {name: name for name in REQUIRED} | {
    "ticker": "id",
    "symbol": "id",
    "close": "price",
    "volume": "trade_volume",
}

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ID_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_PRICE = re.compile(r"\+?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_VOLUME = re.compile(r"\+?([0-9]++)(?:\.0*+)?")
_EPOCH = dt.date(1970, 1, 1).toordinal()


def day_of(text: str) -> int | None:
    """Days since 1970-01-01 of a real day written `YYYY-MM-DD`, 1800-01-01 to 2199-12-31."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = map(int, match.groups())
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


def price_of(text: str) -> float | None:
    """The nearest float64 of a plain or exponent decimal, if that lies from 1e-9 to 1e12."""
    if not _PRICE.fullmatch(text):
        return None
    price = float(text)
    return price if MIN_PRICE <= price <= MAX_PRICE else None


def volume_of(text: str) -> int | None:
    """A whole number of 63 bits (`5`, `+5`, `5.00`); `UNKNOWN_VOLUME` for an empty field."""
    if not text:
        return UNKNOWN_VOLUME
    match = _VOLUME.fullmatch(text)
    if match is None:
        return None
    digits = match[1].lstrip("0")
    # Python refuses to convert thousands of digits, so the length is looked at first.
    if len(digits) > 19 or int(digits or "0") > MAX_VOLUME:
        return None
    return int(digits or "0")


def shown(line: bytes) -> str:
    r"""A line for a person, at most 1,000 characters: bytes that are no text and control characters as `\x00`.

    No NUL is left in it, because neither `text` nor `jsonb` of PostgreSQL takes one.
    """
    text = line[: 4 * SHOWN].decode("utf-8", "backslashreplace")[:SHOWN]
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)[:SHOWN]
