"""Rejected rows that may have been meant for a cell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.ticks.fields import BLANKS

if TYPE_CHECKING:
    from streaming.ticks.rules import Rules

_BETWEEN_FIELDS = re.compile("[,;\t|]")


@dataclass(frozen=True, slots=True)
class NearReject:
    """A row that is no tick: drop, line, text, reason."""

    seq: int
    line: int
    text: str
    reason: str


def is_near(text: str, ticker: str, day: int, rules: Rules) -> bool:
    """Whether a rejected row names the ticker, and the day or no day that can be read.

    >>> from streaming.ticks.rules import Rules
    >>> rules = Rules(text_ids=False)
    >>> [is_near(text, "007", 0, rules) for text in ("1970-01-01,7,-1", "01/01/1970,7,1", "1970-01-02,7,-1")]
    [True, True, False]
    """
    fields = [field.strip(BLANKS + '"') for field in _BETWEEN_FIELDS.split(text)]
    if ticker != rules.fixed_ticker and all(rules.ticker(field) != ticker for field in fields):
        return False
    days = {dated[0] for dated in map(rules.day, fields) if dated is not None}
    return day in days or not days


def texts_of(ticker: str) -> list[str]:
    """What the text of a row with this ticker holds at least: a number may be written without its zeros.

    >>> texts_of("007"), texts_of("BRK.B")
    (['7'], ['BRK.B'])
    """
    return [ticker.lstrip("0") or "0"] if ticker.isascii() and ticker.isdigit() else [ticker]
