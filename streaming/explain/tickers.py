"""Tickers as people write them, found among those of the tables."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.screen import shown
from streaming.ticks.fields import id_of

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


class NoSuchTickerError(StockETLError):
    """The tables have no such ticker; the message names similar ones."""


def find_ticker(cur: cursor, written: str) -> str:
    """The ticker that is meant: as it is written, as a number of three digits, or in other letters if it alone fits.

    Raises NoSuchTickerError.
    """
    text = written.strip()
    padded = id_of(text, text_ids=False)
    cur.execute(
        "SELECT id FROM stocketl.tickers WHERE id = ANY(%s) OR lower(id) = lower(%s) ORDER BY id <> %s, id <> %s, id",
        ([text, padded], text, text, padded),
    )
    found = [str(ticker) for (ticker,) in cur.fetchall()]
    if found and (found[0] in {text, padded} or len(found) == 1):
        return found[0]
    if not found:
        cur.execute("SELECT id FROM stocketl.tickers")
        known = {str(ticker).lower(): str(ticker) for (ticker,) in cur.fetchall()}
        found = [known[near] for near in difflib.get_close_matches(text.lower(), known, 3, 0.6)]
    hint = f"did you mean {' or '.join(map(shown, found))}?" if found else "stocketl.tickers lists them."
    msg = f"no ticker {written!r}; {hint}"
    raise NoSuchTickerError(msg)
