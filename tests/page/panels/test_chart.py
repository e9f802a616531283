"""The chart's values are tested over HTTP; here what corrected them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg2
from loaded_home import LoadedHome

from streaming.page.panels.chart import corrections, first_ticker
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path


def test_a_corrected_price_is_told_with_what_it_was(database: str, tmp_path: Path) -> None:
    """A cell of which only the return was rewritten is no correction of its own, but its explanation names it."""
    home = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    home.load("a.csv", "date,id,price,trade_volume\n1970-01-03,AAPL,1,5\n1970-01-04,AAPL,3,5\n")
    home.load("b.csv", "date,id,price,trade_volume\n1970-01-03,AAPL,2,5\n")
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        assert first_ticker(cur) == "AAPL"
        assert corrections(cur, ["AAPL"]) == {"AAPL": [{"day": 2, "seq": 2, "before": 1.0, "after": 2.0}]}
    home.close()
