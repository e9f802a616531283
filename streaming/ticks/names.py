"""The names of columns that are known without a profile: the one list of them, for the README and the commands too.

A name counts without its case, without `<>` around it, without a dot behind it, and `_` and `-` as blanks. A list holds
only what means one thing: `Adj Close` is no name of the price, and neither is `Last`, which may stand beside a close.
"""

from __future__ import annotations

import re

from streaming.ticks.fields import BLANKS

DATE, ID, PRICE, VOLUME = REQUIRED = ("date", "id", "price", "trade_volume")
"""What a row holds, by the names of the contract."""

KNOWN: dict[str, tuple[str, ...]] = {
    DATE: ("date", "timestamp", "datetime", "trade date", "trading date", "trading day", "dtyyyymmdd"),
    ID: ("id", "ticker", "symbol", "ticker symbol", "code", "name"),
    PRICE: ("price", "close", "close/last", "close price", "closing price", "px last"),
    VOLUME: ("trade volume", "volume", "vol", "total volume", "trading volume", "share volume", "px volume"),
}
"""The names of each column; where there are two for one column, the file is refused."""

MEANT = {DATE: "date", ID: "ticker", PRICE: "price", VOLUME: "volume"}
"""Each column as a person calls it, and as a profile does."""

SECOND_KEYS = frozenset(
    ("time", "time of day", "hour", "minute", "series", "exchange", "exch", "mic", "market", "venue", "currency", "ccy")
)
"""Columns beside which one (date, ticker) may rightly have several rows."""

_TICKERS = ("ticker", "symbol", "ticker symbol")  # beside one of these, `Name` is the company's
_MEANING = {name: column for column, names in KNOWN.items() for name in names}
_BEFORE = {name: name for name in REQUIRED} | {"ticker": ID, "symbol": ID, "close": PRICE, "volume": VOLUME}


def plain(name: str) -> str:
    """A name as it is looked up.

    >>> plain(" <TICKER> "), plain("Vol."), plain("trade_volume")
    ('ticker', 'vol', 'trade volume')
    """
    bare = name.strip(BLANKS).casefold()
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1]
    return " ".join(re.split(r"[\s_-]+", bare.rstrip("."))).strip()


def meaning(name: str) -> str | None:
    """Which column a name stands for, None for any other."""
    return _MEANING.get(plain(name))


def meaning_before(name: str) -> str | None:
    """The same by the few names that were known before there were profiles."""
    return _BEFORE.get(name.strip(BLANKS).lower())


def candidates(names: list[str]) -> dict[str, list[int]]:
    """By column, the places of the names that could be it."""
    found: dict[str, list[int]] = {column: [] for column in REQUIRED}
    for place, name in enumerate(names):
        column = meaning(name)
        if column is not None:
            found[column].append(place)
    bare = {place: plain(names[place]) for place in found[ID]}
    if any(name in _TICKERS for name in bare.values()):
        found[ID] = [place for place in found[ID] if bare[place] != "name"]
    return found


def is_second_key(name: str) -> bool:
    """Whether a column of this name may tell rows of one (date, ticker) apart."""
    return plain(name) in SECOND_KEYS
