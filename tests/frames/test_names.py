"""Tickers as people type them: the same rules as those of `stocketl.ticker`."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import psycopg2
import pytest
from asked_home import AskedHome

from streaming.frames.names import UnknownTickerError, resolved

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ["AAPL", "BRK.B", "MSFT", "Msft", "007", "50", "050", "12345", "000"]
TYPED = ["AAPL", "aapl", " BRK.b ", "Msft", "7", "07", "50", "0012345", "0"]


def test_names_are_found_as_the_database_finds_them(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each spelling leads to the same ticker here and there, also where it leads to none."""
    with contextlib.closing(AskedHome(database, tmp_path, monkeypatch)) as home:
        home.drop("date,id,price\n" + "".join(f"2024-01-02,{ticker},1\n" for ticker in KNOWN if ticker != "50"))
        home.change("INSERT INTO stocketl.tickers VALUES ('50', 'stk_50', 1)")  # as --text-ids would keep it
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("SELECT id FROM stocketl.tickers")
        known = [ticker for (ticker,) in cur.fetchall()]
        assert set(KNOWN) <= set(known)
        for typed in TYPED:
            cur.execute("SELECT stocketl.ticker(%s)", (typed,))
            assert cur.fetchall() == [(resolved([typed], known)[0],)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("msft", "no ticker 'msft', but there are MSFT and Msft"),
        ("APPL", "no ticker 'APPL'; the nearest are AAPL"),
        ("brk-b", "no ticker 'brk-b'; the nearest are BRK.B"),
        ("zzzz", "no ticker 'zzzz'; none is similar"),
    ],
)
def test_an_unknown_ticker_is_told_with_the_nearest(typed: str, said: str) -> None:
    """Whatever the case in which it was typed."""
    with pytest.raises(UnknownTickerError, match=f"^{re.escape(said)}$"):
        resolved(["AAPL", typed], KNOWN)
